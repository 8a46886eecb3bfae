import subprocess
import sys

PROGRAM = """
import sys

class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == "cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
import cli.entry
cli.entry.run()
"""


def test_ctrl_c_while_the_commands_are_loaded_ends_without_a_word():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_commands_are_run():
    code = "import sys; sys.argv = ['listbridge', '--version']; import cli.entry; cli.entry.run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0
    assert done.stdout.startswith("listbridge, version")


def test_what_a_command_logs_names_nobody():
    code = (
        "import logging, cli.main, cli.entry\n"
        "cli.main.main = lambda: logging.getLogger('x').warning('%s is no number', 'ann@example.com')\n"
        "cli.entry.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "<address> is no number\n")
