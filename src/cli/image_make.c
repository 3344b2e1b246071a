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

static const struct cli_option prepare_options[] = {
    {"name", "NAME", "of the image, instead of the next version of this one"},
    {"dry-run", NULL, "only shows what would change in each file"},
    {"no-network", NULL, "the image's programs reach no network: no package is installed"},
    {"keep-swap", NULL, "leaves swap in /etc/fstab"},
    {"bridge", "NAME", "the boot card becomes a port of this bridge, for guests; none: of none"},
    {"bond", "NAME", "the boot card and others are one, of which one works; none: they are not"},
    {"bond-cards", "NAMES", "the others: \"ens4 eno*\""},
    {"label", "KEY=VALUE", "something to remember of this version, beside the labels it has", true},
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
    {"check", "IMAGE[@N]", 1, "Tells what would go wrong when a node boots the system in an image",
     NULL, 0,
     "As nodisk prepare --check does, in a virtual machine of its own (libguestfs); nothing is\n"
     "changed. Exit status 1 if there are errors. Without @N: the latest version.\n",
     image_check},
    {"prepare", "IMAGE[@N]", 1,
     "Makes a version of an image that boots without a disk, on any node", prepare_options,
     ARRAY_SIZE(prepare_options),
     "As nodisk prepare does, on a copy, in a virtual machine of its own (libguestfs). The "
     "version\n"
     "that there is stays as it is; Ctrl-C leaves nothing behind. Without @N: of the latest one.\n"
     "\n"
     "  nodisk image import server.qcow2 --name server\n"
     "  nodisk image check server\n"
     "  nodisk image prepare server\n",
     image_prepare},
};
