/* What is found wrong with scripts, in which line. */
#include "test.h"

#include "ipxe/check.h"

#include <errno.h>

static char found[4096];
static struct script_loader loader;

static void on_problem(void *context, const struct script_problem *problem)
{
    (void)context;
    size_t n = strlen(found);
    snprintf(found + n, sizeof(found) - n, "%u%c %s\n", problem->line,
             problem->level == SCRIPT_ERROR ? 'E' : 'W', problem->text);
}

static const char *setting(void *context, const char *name)
{
    (void)context;
    return str_eq(name, "boot-url")   ? "http://10.0.0.1/scripts/"
           : str_eq(name, "menu-url") ? "${boot-url}menu.ipxe"
           : str_eq(name, "gone-url") ? "${boot-url}gone.ipxe"
           : str_eq(name, "arch")     ? ""
                                      : NULL;
}

static bool has_file(void *context, const char *path)
{
    (void)context;
    return str_eq(path, "menu.ipxe") || str_eq(path, "http://10.0.0.1/scripts/menu.ipxe");
}

static const struct script_check check = {.loaders = &loader,
                                          .n_loaders = 1,
                                          .setting = setting,
                                          .has_file = has_file,
                                          .own_url = "http://10.0.0.1/scripts/",
                                          .report = on_problem};

static void assert_finds(const char *script, const char *expected)
{
    found[0] = '\0';
    assert_int_equal(script_check(script, strlen(script), &check), 0);
    assert_string_equal(found, expected);
}

static void a_good_script_is_left_alone(void **state)
{
    assert_finds("#!ipxe\n"
                 "# a comment: nonsense ${x\n"
                 "set menu-timeout 5000 ; isset ${hostname} && echo ${hostname:string} || # why\n"
                 "chain --autofree menu.ipxe\nchain --replace ${menu-url} ||\n"
                 "chain http://elsewhere/x.ipxe && chain /boot.ipxe?a=b ||\n"
                 "kernel ${boot-url}${arch}/vmlinuz quiet\n"
                 "echo ${net0/mac} ${net${nic}/mac} ${menu-timeout} ${smbios/1.5.0:hexraw} ||\n"
                 "set nic:int32 0\ninc nic\n"
                 ":again\n\tgoto again\n",
                 "");
}

static void commands_are_known(void **state)
{
    assert_finds("#!ipxe\nchian x ||\necho a && rebot\n${command} x\nset a b\\\n c ; nonsense\n"
                 "foo",
                 "2E iPXE has no command chian\n3E iPXE has no command rebot\n"
                 "4W nothing sets ${command}\n"
                 "5E iPXE has no command nonsense\n7E iPXE has no command foo\n");
}

static void loaders_lack_commands(void **state)
{
    loader.abilities[ipxe_command_find("poweroff")] = IPXE_LACKS;
    loader.abilities[ipxe_command_find("console")] = IPXE_LACKS;
    loader.lacks_https = true;
    assert_finds(
        "#!ipxe\npoweroff\nconsole --picture x ||\nreboot\nchain https://a/b\n",
        "2E the loader snponly.efi has no command poweroff: use `exit`, or `reboot`\n"
        "3W the loader snponly.efi has no command console: leave it out, followed by `||`: "
        "the menu stays plain\n"
        "5E the loader snponly.efi has no HTTPS\n");
    loader.lacks_https = false;
    memset(loader.abilities, 0, sizeof(loader.abilities));
}

static void labels_are_there(void **state)
{
    assert_finds("#!ipxe\n:a\ngoto b || goto a\ngoto\n:c d\n  :a\ngoto ${somewhere}\n"
                 "isset ${somewhere} ||\n",
                 "6W the label :a is there twice; goto finds the first\n"
                 "3E there is no label :b\n4E goto where? a label is missing\n"
                 "5E iPXE has no command d\n");
}

static void items_of_a_menu_have_labels(void **state)
{
    assert_finds("#!ipxe\n:start\nmenu One\nitem --gap -- Title\nitem --key x exit Leave\n"
                 "item --default gone Gone\nitem two Two\n"
                 "choose --timeout 5 --default exit selected || goto start\ngoto ${selected}\n"
                 ":two\nmenu Two\nitem start Back\nitem also-gone Gone\n"
                 "choose selected && goto ${selected}\n:exit\n",
                 "9E the menu has an item gone, and there is no label :gone\n"
                 "14E the menu has an item also-gone, and there is no label :also-gone\n");
}

static void files_are_there(void **state)
{
    assert_finds("#!ipxe\nchain gone.ipxe\nchain --name x ${gone-url} || goto a\n"
                 "initrd -n i http://10.0.0.1/scripts/initrd?x=y\n:a\n"
                 "chain ${boot-url}hostname-${hostname}.ipxe\n",
                 "2E there is no file gone.ipxe\n3W there is no file gone.ipxe\n"
                 "4E there is no file initrd\n");
}

static void settings_are_set(void **state)
{
    assert_finds("#!ipxe\necho ${a} ${a} ${b:hex} ${c} ${d}\nset a x\nread b\n"
                 "choose c\nisset ${d} && echo ${e} ${f\n",
                 "6W nothing sets ${e}\n6E the ${ in ${f has no }\n");
}

static void it_is_a_script(void **state)
{
    assert_finds("", "1E iPXE takes it for no script: its first line has to be #!ipxe\n");
    assert_finds("\n#!ipxe\n", "1E iPXE takes it for no script: its first line has to be #!ipxe\n");
    assert_finds("#!ipxefoo\n",
                 "1E iPXE takes it for no script: its first line has to be #!ipxe\n");
    assert_finds("#!ipxe\r\necho a\r\n", "");
    assert_finds("#!gpxe\n", "");
}

static void what_is_strange_is_shown_tamed(void **state)
{
    assert_finds("#!ipxe\n\x1b[2J\xff\n", "2E iPXE has no command ?[2J?\n");
}

static void on_setting(void *context, const char *name, const char *value)
{
    (void)context;
    size_t n = strlen(found);
    snprintf(found + n, sizeof(found) - n, "%s=%s\n", name, value);
}

static void settings_are_told(void **state)
{
    static const char script[] = "#!ipxe\nset boot-dir boot/\nset a:int32   1 2 # 3\n"
                                 "isset ${x} && set b c || read d\nclear e\nchoose f\nset g\n";
    found[0] = '\0';
    assert_int_equal(script_settings(script, strlen(script), on_setting, NULL), 0);
    assert_string_equal(found, "boot-dir=boot/\na=1 2\nb=c\nd=\nf=\ng=\n");
    static char large[SCRIPT_MAX_SIZE + 1];
    assert_int_equal(script_settings(large, sizeof(large), on_setting, NULL), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_script_is_left_alone),
        TEST(commands_are_known),
        TEST(loaders_lack_commands),
        TEST(labels_are_there),
        TEST(items_of_a_menu_have_labels),
        TEST(files_are_there),
        TEST(settings_are_set),
        TEST(it_is_a_script),
        TEST(what_is_strange_is_shown_tamed),
        TEST(settings_are_told),
    };
    str_copy(loader.name, sizeof(loader.name), "snponly.efi");
    return RUN_TESTS(tests);
}
