//! Programs that reach other hosts.

use super::options::{Options, Order, parse};
use super::wrappers::joined;
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Code, Effect, Opaque, Run};
use crate::paths::field::Field;
use crate::syntax::Dialect;

const SSH: &str = "-4 -6 -A!O -a -C -f -G -g!O -K -k -M!O -N -n -q -s!O -T -t -V -v -X!O -x -Y!O -y -B=_ -b=_ -c=_ \
    -D=O -E=w -e=_ -F=f -I=x -i=r -J=_ -L=O -l=_ -m=_ -O=O -o=o -p=_ -Q=_ -R=O -S=O -W=O -w=O";
const SCP: &str =
    "-3 -4 -6 -A!O -B -C -O -p -q -R!O -r!R -s -T -v -f!F -t!T -d -c=_ -D=x -F=f -i=r -J=_ -l=_ -o=o -P=_ -S=x -X=_";
const RSYNC: &str = "-e,--rsh=h --rsync-path=h --files-from=r --exclude-from=r --include-from=r --password-file=r \
    --log-file=w --log-file-format=_ --partial-dir=w -T,--temp-dir=w --backup-dir=w --compare-dest=r --copy-dest=r \
    --link-dest=rw --write-batch=w --only-write-batch=w --read-batch=r --early-input=r -f,--filter=f --exclude=_ \
    --include=_ -M,--remote-option=O --config=f --daemon!O --server!S --sender!s --delete!D --del!D \
    --delete-before!D --delete-during!D --delete-delay!D --delete-after!D --delete-excluded!D \
    --delete-missing-args!D --remove-source-files!X --force!D --max-delete=_ --bwlimit=_ --timeout=_ \
    --contimeout=_ --port=_ --sockopts=_ --address=_ --chmod=_ --chown=_ --usermap=_ --groupmap=_ \
    -B,--block-size=_ --max-size=_ --min-size=_ --suffix=_ --info=_ --debug=_ --out-format=_ --compress-level=_ \
    --skip-compress=_ --checksum-choice,--cc=_ --compress-choice,--zc=_ --iconv=_ --modify-window,-@=_ \
    --protocol=_ --stop-after=_ --stop-at=_ --outbuf=_ --trust-sender -F!f -s,--protect-args,--secluded-args!P \
    -v,--verbose -q,--quiet -c,--checksum -a,--archive -r,--recursive -R,--relative -b,--backup -u,--update \
    -l,--links -L,--copy-links -k,--copy-dirlinks -K,--keep-dirlinks -H,--hard-links -p,--perms -E,--executability \
    -A,--acls -X,--xattrs -o,--owner -g,--group -D -t,--times -U,--atimes -N,--crtimes -O,--omit-dir-times \
    -J,--omit-link-times -S,--sparse -n,--dry-run -W,--whole-file -x,--one-file-system -I,--ignore-times \
    -z,--compress -h,--human-readable -P,--progress -i,--itemize-changes -C,--cvs-exclude -0,--from0 -4,--ipv4 \
    -6,--ipv6 -d,--dirs -m,--prune-empty-dirs -y,--fuzzy --stats --partial --inplace --append --append-verify \
    --existing --ignore-existing --numeric-ids --size-only --no-motd --devices --specials --super --fake-super \
    --safe-links --copy-unsafe-links --munge-links --list-only --ignore-errors --no-whole-file --no-perms \
    --no-owner --no-group --no-times --no-inc-recursive --msgs2stderr --mkpath --old-args --open-noatime \
    --preallocate --delay-updates --version --help";
/// Settings of `ssh` that name no program, no file of code and no way past the gateway.
const SETTINGS: [&str; 17] = [
    "stricthostkeychecking",
    "batchmode",
    "connecttimeout",
    "serveraliveinterval",
    "serveralivecountmax",
    "loglevel",
    "user",
    "port",
    "identitiesonly",
    "preferredauthentications",
    "passwordauthentication",
    "pubkeyauthentication",
    "connectionattempts",
    "compression",
    "addressfamily",
    "checkhostip",
    "numberofpasswordprompts",
];

/// Objects of `ip`, as far as a name may be cut short, and verbs that only look.
const IP_OBJECTS: [&str; 7] = ["address", "link", "route", "neighbour", "rule", "maddress", "netconf"];
const IP_LOOKS: [&str; 4] = ["show", "list", "lst", "get"];

impl Evaluator<'_> {
    /// `ip`, and `mount` and `crontab` where they only list.
    pub(crate) fn network_tool(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        let words = words.unwrap_or_else(|| vec!["…".to_owned()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = run.clone();
        match (run.program.as_str(), words.as_slice()) {
            ("mount", [] | ["-l"]) | ("crontab", ["-l"]) => {
                run.known = true;
                self.list(run);
            }
            ("ip", _) => self.ip(run, arguments, &words, state, context),
            _ => return false,
        }
        true
    }

    fn ip(&mut self, mut run: Run, arguments: &[Field], words: &[&str], state: &State, context: &Context) {
        let plain = [
            "-4", "-6", "-s", "-d", "-o", "-j", "-p", "-br", "-brief", "-c", "-color", "-h", "-json", "-pretty",
            "-stats", "-details", "-oneline",
        ];
        let options = words.iter().take_while(|word| plain.contains(word)).count();
        run.known = true;
        match words.get(options..).unwrap_or_default() {
            [] => {}
            ["netns", "exec", _, ..] => {
                self.list(run);
                let mut via = context.through("ip netns exec");
                via.program_only = true;
                self.invoke(arguments.get(options + 3..).unwrap_or_default(), state.clone(), &via);
                return;
            }
            [object, rest @ ..] if IP_OBJECTS.iter().any(|name| name.starts_with(object)) => {
                let looks = rest
                    .first()
                    .is_none_or(|verb| IP_LOOKS.iter().any(|name| name.starts_with(verb)));
                if !looks {
                    run.system.insert(Effect::Firewall);
                }
            }
            _ => {
                self.opaque(Opaque::UnknownOption);
                run.system.insert(Effect::Firewall);
                return self.unknown(run, arguments, state);
            }
        }
        self.list(run);
    }

    /// `ssh`, `scp`, `rsync`, `nc` and the servers of file transfer.
    pub(crate) fn remote(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let mut run = run.clone();
        match run.program.as_str() {
            "ssh" => self.ssh(run, arguments, state, context),
            "scp" => self.scp(run, arguments, state, context),
            "rsync" => self.rsync(run, arguments, state, context),
            "sftp-server" | "internal-sftp" => {
                run.known = true;
                run.interprets = Some(Code::Stdin);
                self.opaque(Opaque::CodeFromStdin);
                self.list(run);
            }
            "nc" | "ncat" | "netcat" | "nc.openbsd" | "nc.traditional" => {
                run.known = true;
                run.network = true;
                let options = Options::of(
                    "-e,--exec=x -c,--sh-exec=x --lua-exec=x -U,--unixsock!O -l,--listen!O -k!O -x=_ -X=_ -p=_ \
                        -s=_ -w,--wait=_ -q=_ -i=_ -z -v -u -n -4 -6 -d -N -t -C -I=_ -O=_ -T=_ -V=_ -P=_ -o=w",
                );
                let parsed = parse(&options, arguments, Order::Anywhere);
                if !parsed.unknown.is_empty()
                    || parsed.dynamic
                    || parsed.given.iter().any(|given| given.role.contains('O'))
                {
                    self.opaque(Opaque::UnknownOption);
                }
                for (role, value) in parsed
                    .given
                    .iter()
                    .filter_map(|given| Some((&given.role, given.value.as_ref()?)))
                {
                    self.role(role, value, &mut run, state, context);
                }
                self.list(run);
            }
            _ => return false,
        }
        true
    }

    /// Options that `ssh` and `scp` share.
    fn ssh_options(&mut self, run: &mut Run, parsed: &super::options::Parsed, state: &State, context: &Context) {
        if !parsed.unknown.is_empty() || parsed.dynamic || parsed.wild {
            self.opaque(Opaque::UnknownOption);
        }
        for given in &parsed.given {
            if given.role.contains('O') {
                self.opaque(Opaque::UnknownOption);
            }
            match &given.value {
                Some(value) if given.role == "o" => {
                    let name = value.exact().unwrap_or_default().to_ascii_lowercase();
                    let name = name.split(['=', ' ', '\t']).next().unwrap_or_default().to_owned();
                    let known_hosts = name == "userknownhostsfile"
                        && value
                            .exact()
                            .is_some_and(|text| text.get(name.len() + 1..) == Some("/dev/null"));
                    if !SETTINGS.contains(&name.as_str()) && !known_hosts {
                        self.opaque(Opaque::UnknownOption);
                    }
                }
                // A shell is given the names of the hosts in between.
                Some(value) if given.name == "-J" && !value.exact().is_some_and(|text| is_jump(&text)) => {
                    self.opaque(Opaque::UnknownOption);
                }
                Some(value) if given.role.contains(['r', 'w', 'x', 'f']) => {
                    self.role(&given.role, value, run, state, context);
                }
                _ => {}
            }
        }
    }

    fn ssh(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        run.network = true;
        let options = Options::of(SSH);
        let mut parsed = parse(&options, arguments, Order::First);
        let host = parsed.operands.first().cloned();
        // Options may also stand behind the host.
        let mut command = parsed.operands.get(1..).unwrap_or_default().to_vec();
        if command.first().is_some_and(|field| field.starts_with("-")) {
            let behind = parse(&options, &command, Order::First);
            parsed.given.extend(behind.given.clone());
            parsed.unknown.extend(behind.unknown.clone());
            parsed.dynamic |= behind.dynamic;
            command = behind.operands;
        }
        self.ssh_options(&mut run, &parsed, state, context);
        let mut via = context.through("ssh");
        via.host = Some(host.as_ref().map(Field::show).unwrap_or_default());
        via.as_user = None;
        if host.is_some() && command.is_empty() && !parsed.has("-N") {
            run.interprets = Some(Code::Stdin);
            self.opaque(Opaque::CodeFromStdin);
        }
        self.list(run);
        if !command.is_empty() {
            self.followed(&joined(&command), Dialect::Posix, State::at_a_home(self.setting), &via);
        }
    }

    fn scp(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        let parsed = parse(&Options::of(SCP), arguments, Order::Anywhere);
        self.ssh_options(&mut run, &parsed, state, context);
        let recursive = parsed.has("-r");
        let count = parsed.operands.len();
        for (index, operand) in parsed.operands.iter().enumerate() {
            let last = index + 1 == count;
            let uses = match (parsed.has("-f"), parsed.has("-t")) {
                (true, _) => Uses::READ,
                (_, true) => Uses::WRITE,
                _ if last => Uses::WRITE,
                _ => Uses::READ,
            };
            let server = parsed.has("-f") || parsed.has("-t");
            if !server && is_remote(operand) {
                run.network = true;
                if ['$', '`', ';', '|', '&', '('].iter().any(|c| operand.contains(*c)) {
                    self.opaque(Opaque::Eval);
                }
                continue;
            }
            // The target may be a directory.
            let recursive = recursive || uses.writes;
            self.path(&mut run, operand, Uses { recursive, ..uses }, state);
        }
        self.list(run);
    }

    fn rsync(&mut self, mut run: Run, arguments: &[Field], state: &State, context: &Context) {
        run.known = true;
        let server = arguments
            .iter()
            .any(|field| field.exact().as_deref() == Some("--server"));
        // As a server, `-e` says what the client can do.
        let text = if server {
            RSYNC.replace("-e,--rsh=h", "-e?_")
        } else {
            RSYNC.to_owned()
        };
        let parsed = parse(&Options::of(&text), arguments, Order::Anywhere);
        let refused = parsed
            .given
            .iter()
            .any(|given| given.role.contains(['O', 'f']) && given.value.is_none());
        if refused || !parsed.unknown.is_empty() || parsed.wild {
            self.opaque(Opaque::UnknownOption);
        }
        // With these the names come over the connection.
        if parsed.dynamic || (server && parsed.has("-s")) || parsed.has("--files-from") {
            self.opaque(Opaque::DynamicArgument);
        }
        for (role, value) in parsed
            .given
            .iter()
            .filter_map(|given| Some((&given.role, given.value.as_ref()?)))
        {
            let role: String = role.chars().filter(|c| "rwhfO".contains(*c)).collect();
            self.role(&role, value, &mut run, state, context);
        }
        let letter = |wanted: char| parsed.given.iter().any(|given| given.role.contains(wanted));
        let count = parsed.operands.len();
        for (index, operand) in parsed.operands.iter().enumerate() {
            if !server && is_remote(operand) {
                run.network = true;
                continue;
            }
            let destination = if server {
                !letter('s')
            } else {
                index + 1 == count && count > 1
            };
            let mut uses = if destination {
                Uses::only(false, true, letter('D'))
            } else {
                Uses::only(true, false, letter('X'))
            };
            // The first operand of a server is a dot that stands for nothing.
            if server && index == 0 && operand.exact().as_deref() == Some(".") {
                continue;
            }
            uses.recursive = true;
            self.path(&mut run, operand, uses, state);
        }
        self.list(run);
    }
}

/// `[user@]host[:port]`, and more behind commas.
fn is_jump(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-@:,[]".contains(c))
}

/// `host:path`: a colon before any slash.
fn is_remote(field: &Field) -> bool {
    match field.split_at(':') {
        Some((host, _)) => !host.contains('/') && !field.is_open(),
        None => false,
    }
}
