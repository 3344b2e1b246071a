/* Sizes as people write and read them: "10G", "512M"; units are powers of 1024. */
#pragma once

#include "core/util.h"

#define SIZE_TEXT_SIZE 16

/* Bytes from "4096", "10G", "512MiB", "1T" (K, M, G, T, P, each with or without B or iB, any
 * case). -EINVAL if it is none of these, -ERANGE if it is above 2^63 - 1. */
int size_parse(const char *text, uint64_t *ret_bytes) MUST_CHECK;

/* "512 B", "1.5 GiB", "10 GiB": at most four digits. */
const char *size_format(uint64_t bytes, char buffer[static SIZE_TEXT_SIZE]);
