/*
 * The boot set of an image version on disk: VERSION.boot beside VERSION.raw. Without it, nothing is
 * known; it may be removed whenever one likes. All of it may block.
 */
#pragma once

#include "registry/catalog.h"
#include "storage/boot_set.h"

/* -ENOENT: there is none, and nothing is wrong with that; else a sentence that names the file. */
int boot_file_load(const struct catalog_base *image, struct boot_set *ret_set,
                   struct error *ret_error) MUST_CHECK;
/* Durable; replaces what was there, as a whole or not at all. */
int boot_file_store(const struct catalog_base *image, const struct boot_set *set,
                    struct error *ret_error) MUST_CHECK;
/* What is not there is fine. */
int boot_file_remove(const char *image_path, struct error *ret_error) MUST_CHECK;
/* An image version as what is at the bottom of overlays; its strings are the image's. */
struct catalog_base boot_file_image(const struct catalog_image *image);
