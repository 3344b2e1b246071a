/* `nodisk serve`: the daemon. */
#pragma once

/* Runs until SIGTERM or SIGINT. argv[0] is "serve". Exit status: 0 stopped cleanly (or the
 * configuration is good, with --check), 1 could not start or failed, 2 usage. */
int serve_main(int argc, char **argv);
