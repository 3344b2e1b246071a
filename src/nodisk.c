/* main(): `nodisk serve` is the daemon, everything else asks it over its socket; and the daemon
 * starts this program beside each of its hooks. */
#include "cli/cli.h"
#include "core/util.h"
#include "hooks/supervise.h"
#include "server/serve.h"

int main(int argc, char **argv)
{
    if (argc > 0 && str_eq(argv[0], HOOK_SUPERVISE_NAME))
        return hook_supervise(argc, argv);
    if (argc > 1 && str_eq(argv[1], "serve"))
        return serve_main(argc - 1, argv + 1);
    return cli_main(argc, argv);
}
