/* What every unit test includes: cmocka with the headers that it forgets to include itself. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/util.h"

#define TEST(f)          cmocka_unit_test(f)
#define RUN_TESTS(tests) cmocka_run_group_tests((tests), NULL, NULL)

static inline void assert_contains(const char *text, const char *words)
{
    if (!text || !strstr(text, words))
        fail_msg("expected '%s' in '%s'", words, text ? text : "nothing");
}
