"""What paramiko's users do: commands, channels at once, a terminal, files. Prints what it saw."""

import sys
import threading

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

# paramiko says the end of input when the pipe to a command is dropped, and may say it behind its own close of the channel,
# for which OpenSSH ends the whole connection. So pipes are kept until the end.
kept = []


def execute(line):
    pipes = client.exec_command(line)
    kept.append(pipes)
    return pipes


stdin, stdout, stderr = execute("cat; echo err >&2; exit 3")
stdin.write("through a pipe\n")
stdin.channel.shutdown_write()
print(stdout.read(), stderr.read(), stdout.channel.recv_exit_status())

channel = client.get_transport().open_session()
channel.exec_command("kill -KILL $$")
print("killed", channel.recv_exit_status())

results = {}


def run(number):
    _, out, _ = execute(f"for i in 1 2 3; do echo {number}; done; exit {number}")
    results[number] = (out.read(), out.channel.recv_exit_status())


threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(results.items()))

channel = client.get_transport().open_session()
channel.get_pty("vt100", 132, 43)
channel.exec_command("stty size; tty | cut -c1-9; read line; echo got $line; stty size")
seen = b""
while b"/dev/pts" not in seen:
    seen += channel.recv(100)
channel.resize_pty(90, 20)
channel.send(b"words\r")
while True:
    data = channel.recv(1000)
    if not data:
        break
    seen += data
print(seen, channel.recv_exit_status())

sftp = client.open_sftp()
for leftover in ("paramiko/large", "paramiko/named", "paramiko/link"):
    try:
        sftp.remove(leftover)
    except FileNotFoundError:
        pass
try:
    sftp.mkdir("paramiko")
except OSError:
    pass
large = bytes(range(256)) * 20000
with sftp.open("paramiko/large", "wb") as file:
    file.set_pipelined(True)
    file.write(large)
with sftp.open("paramiko/large", "rb") as file:
    file.prefetch()
    print("the same", file.read() == large)
    file.seek(1000)
    print(file.read(4), file.stat().st_size)
    print([bytes(part) for part in file.readv([(0, 3), (5000, 3)])])
with sftp.open("paramiko/large", "r+b") as file:
    file.truncate(300000)
    file.seek(10)
    file.write(b"patched")
with sftp.open("paramiko/large", "ab") as file:
    file.write(b"appended")
print(sftp.stat("paramiko/large").st_size)
sftp.chmod("paramiko/large", 0o600)
sftp.utime("paramiko/large", (1000, 2000))
attributes = sftp.stat("paramiko/large")
print(oct(attributes.st_mode), attributes.st_mtime)
sftp.posix_rename("paramiko/large", "paramiko/named")
sftp.symlink("named", "paramiko/link")
print(sftp.readlink("paramiko/link"), sorted(sftp.listdir("paramiko")), sftp.normalize("paramiko/.."))
for attempt in (
    lambda: sftp.open("paramiko/missing"),
    lambda: sftp.rmdir("paramiko"),
    lambda: sftp.open("/etc/shadow"),
):
    try:
        attempt()
        print("no error")
    except OSError as error:
        print(type(error).__name__, error)
client.get_transport().global_request("keepalive@openssh.com", wait=True)
client.get_transport().renegotiate_keys()
print(execute("echo after new keys")[1].read())
client.close()
print("done")
