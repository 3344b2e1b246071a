/* Network interfaces for a test, in a network namespace of its own: nothing of it reaches the
 * machine, or stays. Needs root; a test without it is skipped. */
#pragma once

#include "test.h"

#include "core/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

/* Once for a test program, before it makes threads; false: it may not. */
static inline bool own_network_enter(void)
{
    return unshare(CLONE_NEWNET) == 0;
}

static inline struct ifreq own_network_request(const char *name)
{
    struct ifreq request = {0};
    str_copy(request.ifr_name, sizeof(request.ifr_name), name);
    return request;
}

static inline void own_network_ioctl(unsigned long what, struct ifreq *request)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, what, request), 0);
}

static inline void own_network_raise(const char *name)
{
    struct ifreq request = own_network_request(name);
    own_network_ioctl(SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    own_network_ioctl(SIOCSIFFLAGS, &request);
}

/* An Ethernet interface that is there until the descriptor is closed. */
static inline int own_network_add(const char *name)
{
    struct ifreq request = own_network_request(name);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    return fd;
}

/* name: "tap0", or "tap0:1" for another address of the same. */
static inline void own_network_set_address(const char *name, const char *address, const char *mask)
{
    struct ifreq request = own_network_request(name);
    struct sockaddr_in in = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
    memcpy(&request.ifr_addr, &in, sizeof(in));
    own_network_ioctl(SIOCSIFADDR, &request);
    assert_int_equal(inet_pton(AF_INET, mask, &in.sin_addr), 1);
    memcpy(&request.ifr_netmask, &in, sizeof(in));
    own_network_ioctl(SIOCSIFNETMASK, &request);
}

/* Does not bring the interface up, so that there is no other link-local one. */
static inline void own_network_add_ipv6(const char *name, const char *address)
{
    struct in6_ifreq request = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex(name)};
    assert_int_equal(inet_pton(AF_INET6, address, &request.ifr6_addr), 1);
    cleanup_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request) < 0)
        skip(); /* no IPv6 here */
}

/* One that is valid for so many seconds, and preferred for as many: with 0, it is deprecated. */
static inline void own_network_add_ipv6_for(const char *name, const char *address,
                                            uint32_t preferred, uint32_t valid)
{
    struct {
        struct nlmsghdr header;
        struct ifaddrmsg message;
        struct rtattr address_header;
        struct in6_addr address;
        struct rtattr times_header;
        struct ifa_cacheinfo times;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = RTM_NEWADDR,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .message = {.ifa_family = AF_INET6,
                    .ifa_prefixlen = 64,
                    .ifa_flags = IFA_F_NODAD,
                    .ifa_index = if_nametoindex(name)},
        .address_header = {RTA_LENGTH(sizeof(struct in6_addr)), IFA_ADDRESS},
        .times_header = {RTA_LENGTH(sizeof(struct ifa_cacheinfo)), IFA_CACHEINFO},
        .times = {.ifa_prefered = preferred, .ifa_valid = valid},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } answer = {0};
    assert_int_equal(inet_pton(AF_INET6, address, &request.address), 1);
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
    assert_true(recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)sizeof(answer.header));
    assert_int_equal(answer.error.error, 0);
}

static inline void own_network_set_mac(const char *name, struct mac_address mac)
{
    struct ifreq request = own_network_request(name);
    request.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
    memcpy(request.ifr_hwaddr.sa_data, mac.bytes, sizeof(mac.bytes));
    own_network_ioctl(SIOCSIFHWADDR, &request);
}
