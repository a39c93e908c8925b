"""A program that drives a shell as if it were a person: paramiko's `invoke_shell`. Prints what the shell said."""

import sys

import paramiko

path, name = sys.argv[1:]
entry = paramiko.SSHConfig.from_path(path).lookup(name)
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.RejectPolicy())
keys = paramiko.HostKeys(entry["userknownhostsfile"])
for kind, key in keys.lookup(name).items():
    client.get_host_keys().add("[%s]:%s" % (entry["hostname"], entry["port"]), kind, key)
client.connect(
    entry["hostname"], int(entry["port"]), entry["user"], key_filename=entry["identityfile"],
    allow_agent=False, look_for_keys=False, timeout=20,
)

shell = client.invoke_shell(width=120, height=40)
shell.settimeout(20)
said = ""


def expect(words):
    global said
    while words not in said:
        piece = shell.recv(4096)
        if not piece:
            sys.exit(f"the shell ended before `{words}`: {said!r}")
        said += piece.decode()
    before, said = said.split(words, 1)
    return before


expect("$ ")
# Such programs end a line with a newline, and do not wait for prompts.
shell.send("word=here\n")
shell.send("cd /usr; echo \"$word in\" $(pwd)\n")
expect("here in /usr")
expect("$ ")
shell.send("rm -rf /nowhere\n")
expect("nothing is removed")
expect("$ ")
shell.resize_pty(width=100, height=30)
shell.send("stty size\n")
expect("30 100")
shell.send("exit 7\n")
print("status", shell.recv_exit_status())
print("done")
