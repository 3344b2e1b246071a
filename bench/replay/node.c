/*
 * A node goes through the trace: a step is taken when no more steps are under way than there were
 * then, and when the machine's own pause is over.
 */
#include "node.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>

typedef void begin_step(struct node *node, const struct step *step);

static begin_step *const begin[STEP_KINDS] = {
    [STEP_DHCP] = dhcp_begin,     [STEP_TFTP] = tftp_begin,      [STEP_HTTP] = http_begin,
    [STEP_LOGIN] = session_begin, [STEP_READ] = session_begin,   [STEP_WRITE] = session_begin,
    [STEP_SCSI] = session_begin,  [STEP_LOGOUT] = session_begin, [STEP_CLOSE] = session_begin,
};

static void finish(struct node *node)
{
    struct storm *storm = node->storm;
    node->up = storm->loop.now;
    storm->n_up++;
    if (storm->n_up + storm->n_failed == storm->n_nodes)
        storm->loop.ended = true;
}

/* True: the next step may be taken now. */
static bool is_due(struct node *node, const struct step *step)
{
    struct loop *loop = &node->storm->loop;
    if (node->under_way >= step->depth)
        return false;
    uint64_t at = node->last + (uint64_t)((double)step->pause * node->storm->pace);
    if (at <= loop->now)
        return true;
    loop_set_timer(loop, &node->pause, at);
    return false;
}

void node_advance(struct node *node)
{
    const struct trace *trace = &node->storm->trace;
    if (node->advancing || node->failed || timer_is_set(&node->pause))
        return;
    node->advancing = true;
    while (node->next_step < trace->count && !node->failed) {
        const struct step *step = &trace->steps[node->next_step];
        if (!is_due(node, step))
            break;
        node->next_step++;
        node->under_way++;
        node->last = node->storm->loop.now;
        begin[step->kind](node, step);
    }
    node->advancing = false;
    if (node->next_step == trace->count && node->under_way == 0 && !node->failed && !node->up)
        finish(node);
}

void node_step_done(struct node *node)
{
    node->under_way--;
    if (!timer_is_set(&node->pause))
        node->last = node->storm->loop.now;
    node_advance(node);
}

void node_go_back(struct node *node, size_t step, unsigned lost)
{
    loop_clear_timer(&node->storm->loop, &node->pause);
    node->under_way -= lost;
    node->next_step = step;
    node->last = node->storm->loop.now;
    node_advance(node);
}

void node_retry(struct node *node, enum retry_kind kind, const char *why)
{
    node->retries[kind]++;
    if (node->storm->verbose)
        fprintf(stderr, "node %u: step %zu: %s\n", node->number, node->next_step, why);
}

void node_fail(struct node *node, const char *format, ...)
{
    struct storm *storm = node->storm;
    if (node->failed)
        return;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "node %u has failed at step %zu: ", node->number, node->next_step);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    node->failed = true;
    storm->n_failed++;
    if (storm->n_up + storm->n_failed == storm->n_nodes)
        storm->loop.ended = true;
}

uint64_t backoff_usec(const struct storm *storm, unsigned tries)
{
    uint64_t usec = USEC_PER_SEC << MIN(tries > 0 ? tries - 1 : 0, 5U);
    return (uint64_t)((double)usec * storm->patience);
}

int node_socket(const struct node *node, int type)
{
    cleanup_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const struct endpoint own = endpoint_of_ipv4(node->address, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, sizeof(int)) < 0 ||
        bind(fd, &own.any, endpoint_size(&own)) < 0)
        return -errno;
    if (type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        return -errno;
    return take_fd(&fd);
}

void node_note_tcp(struct node *node, int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
        node->storm->tcp_retransmissions += info.tcpi_total_retrans;
}
