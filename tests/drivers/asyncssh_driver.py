"""What asyncssh's users do: many things at once over one connection. Prints what it saw."""

import asyncio
import os
import sys
import tempfile

import asyncssh


async def main(path, name):
    config = [path]
    async with asyncssh.connect(name, config=config) as connection:
        results = await asyncio.gather(*(connection.run(f"echo {n}; exit {n}") for n in range(10)))
        print([(r.stdout, r.exit_status) for r in results])
        result = await connection.run("cat", input="words\n" * 50000)
        print(len(result.stdout), result.exit_status)
        result = await connection.run("kill -TERM $$")
        print(result.exit_status, result.exit_signal)
        async with connection.create_process("cat", encoding=None) as process:
            process.stdin.write(bytes(range(256)))
            process.stdin.write_eof()
            print(await process.stdout.read() == bytes(range(256)))
        async with connection.create_process("trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.01; done") as process:
            print(await process.stdout.readline())
            process.send_signal("USR1")
            print(await process.stdout.read(), (await process.wait()).exit_status)
        async with connection.create_process("stty size; read a; echo $a; stty size", term_type="xterm", term_size=(100, 30)) as process:
            print(repr(await process.stdout.readline()))
            process.change_terminal_size(80, 24)
            process.stdin.write("typed\n")
            print(repr(await process.stdout.read()))
        async with connection.start_sftp_client() as sftp:
            if await sftp.exists("asyncssh"):
                await sftp.rmtree("asyncssh")
            with tempfile.TemporaryDirectory() as local:
                for number in range(200):
                    with open(os.path.join(local, str(number)), "w") as file:
                        file.write(str(number) * number)
                await sftp.put(local, "asyncssh", recurse=True)
                print(len(await sftp.listdir("asyncssh")))
                back = local + "-back"
                await sftp.get("asyncssh", back, recurse=True)
                same = all(open(os.path.join(local, n)).read() == open(os.path.join(back, n)).read() for n in os.listdir(local))
                print("the same", same)
            names = await sftp.glob("asyncssh/1?")
            print(sorted(names))
            async with sftp.open("asyncssh/big", "wb") as file:
                await file.write(b"x" * 3_000_000)
            print((await sftp.stat("asyncssh/big")).size)
            await sftp.rmtree("asyncssh")
            try:
                await sftp.stat("asyncssh")
            except asyncssh.SFTPError as error:
                print(type(error).__name__)
    print("done")


asyncio.run(main(*sys.argv[1:]))
