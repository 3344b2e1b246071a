/* The table of the commands that make images; each is in a file of its own. */
#include "cli/image_make.h"

static const struct cli_option create_options[] = {
    {"name", "NAME",
     "of the image, instead of the system's; one that exists gets its next version"},
    {"package", "NAME", "a further package; several with commas", true},
    {"ssh-key", "FILE", "with which root can log in over SSH; brings openssh-server", true},
    {"root-password", "WORD", "with which root can log in on the console"},
    {"size", "SIZE", "of the disk (3G)"},
    {"kernel", "FLAVOUR", "amd64, or cloud-amd64: for virtual machines only, smaller (amd64)"},
    {"mirror", "URL", "where the packages come from (Debian's own, with security updates)"},
    {"label", "KEY=VALUE", "something to remember of this version", true},
};

const struct cli_verb image_make_verbs[IMAGE_MAKE_VERBS] = {
    {"create", "SYSTEM", 1, "Makes a golden image out of nothing: debian12 or debian13",
     create_options, ARRAY_SIZE(create_options),
     "It is prepared, for BIOS and UEFI, and becomes an image of that name, as from import. Takes "
     "minutes\n"
     "and needs the packages that it names; Ctrl-C leaves nothing behind.\n"
     "\n"
     "  nodisk image create debian12 --ssh-key ~/.ssh/id_ed25519.pub --package vim,lldpd\n",
     image_create},
};
