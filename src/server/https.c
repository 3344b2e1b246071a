#include "server/https.h"

#include "core/log.h"
#include "http/http.h"

#include <errno.h>

#define DAY       (86400 * USEC_PER_SEC)
#define SOON      (14 * DAY)
#define LOOK_TIME (3600 * USEC_PER_SEC)

int https_read(const struct https_config *config, struct certificate **ret_certificate,
               struct error *ret_error)
{
    *ret_certificate = NULL;
    if (!config->certificate[0])
        return 0;
    int r = http_check_priorities(config->priorities, ret_error);
    if (r >= 0)
        r = certificate_read(config->certificate, config->key, ret_certificate, ret_error);
    return r < 0 ? error_prefix(ret_error, "[https]") : 0;
}

static const char *format_day(uint64_t usec, char text[static 32])
{
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || !strftime(text, 32, "%F %T UTC", &tm))
        str_copy(text, 32, "an unknown time");
    return text;
}

/* Each once. */
static void tell_end(struct https *https, const struct certificate *certificate)
{
    char text[32];
    uint64_t now = clock_wall_usec(), ends = certificate_ends(certificate);
    enum https_told tell = now >= ends          ? HTTPS_TOLD_ENDED
                           : now + SOON >= ends ? HTTPS_TOLD_SOON
                                                : HTTPS_TOLD_NOTHING;
    if (tell == https->told)
        return;
    https->told = tell;
    format_day(ends, text);
    if (tell == HTTPS_TOLD_ENDED)
        log_error("https: the certificate of %s has ended (%s): machines refuse it; renew it, and "
                  "reload nodisk",
                  certificate_name(certificate), text);
    else if (tell == HTTPS_TOLD_SOON)
        log_warning("https: the certificate of %s ends soon (%s); renew it, and reload nodisk",
                    certificate_name(certificate), text);
}

static void tell_new(struct https *https, const struct certificate *certificate)
{
    char text[32];
    https->told = HTTPS_TOLD_NOTHING;
    log_info("https: the certificate of %s counts, until %s", certificate_name(certificate),
             format_day(certificate_ends(certificate), text));
    if (certificate_begins(certificate) > clock_wall_usec())
        log_warning("https: the certificate of %s counts only from %s on: machines refuse it "
                    "before that",
                    certificate_name(certificate),
                    format_day(certificate_begins(certificate), text));
    if (!certificate_is_rsa(certificate))
        log_warning("https: the certificate of %s has no RSA key, and no iPXE before 2025 takes "
                    "another one",
                    certificate_name(certificate));
    tell_end(https, certificate);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct https *https = userdata;
    cleanup_certificate struct certificate *certificate = certificate_slot_get(https->certificates);
    tell_end(https, certificate);
    int r = sd_event_source_set_time(source, clock_monotonic_usec() + LOOK_TIME);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void https_set(struct https *https, struct certificate *certificate)
{
    if (!certificate || !https->certificates)
        return;
    cleanup_certificate struct certificate *old = certificate_slot_get(https->certificates);
    if (old && certificate_eq(old, certificate))
        return;
    certificate_slot_set(https->certificates, certificate);
    tell_new(https, certificate);
}

int https_start(struct https *https, const struct https_config *config, sd_event *loop,
                struct error *ret_error)
{
    cleanup_certificate struct certificate *certificate = NULL;
    int r = https_read(config, &certificate, ret_error);
    if (r < 0 || !certificate)
        return r;
    https->certificates = certificate_slot_new();
    if (!https->certificates)
        return error_set(ret_error, -ENOMEM, "out of memory");
    https->need = config->require;
    str_copy(https->name, sizeof(https->name), config->name);
    str_copy(https->priorities, sizeof(https->priorities), config->priorities);
    https_set(https, certificate);
    r = sd_event_add_time(loop, &https->timer, CLOCK_MONOTONIC, clock_monotonic_usec() + LOOK_TIME,
                          60 * USEC_PER_SEC, on_timer, https);
    return r < 0 ? error_set(ret_error, r, "[https]: %s", strerror(-r)) : 0;
}

void https_stop(struct https *https)
{
    sd_event_source_unref(https->timer);
    certificate_slot_free(https->certificates);
}
