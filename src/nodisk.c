/* main(): `nodisk serve` is the daemon, everything else asks it over its socket. */
#include "cli/cli.h"
#include "core/util.h"
#include "server/serve.h"

int main(int argc, char **argv)
{
    if (argc > 1 && str_eq(argv[1], "serve"))
        return serve_main(argc - 1, argv + 1);
    return cli_main(argc, argv);
}
