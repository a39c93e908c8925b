//! Forms of programs that only ask: of ones that could do far more, in whatever other form, and of ones of which nothing
//! else is known. Each form is a list of words, and what is not in it is what it was.

use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Effect, Run};
use crate::paths::field::Field;

/// `programs | first words | options | what may follow`. An option with `=` takes a value, attached or apart. What may
/// follow: nothing, words, `*` names, `*1` one name, `*p` names that are neither paths nor addresses; `!`: something
/// must. No program stands here that takes code from the directory where it starts, even to say its version.
const FORMS: &str = r"
sysctl | | -a -n -e -N --all --values --names | *
ifconfig | | -a -s -v | *1
route | | -n -e -v -4 -6 |
arp | | -a -n -e -v | *
blkid | | |
mount | | -l -v -t= |
swapon | -s,--show,--summary | --noheadings --raw --bytes |
fdisk,sfdisk | -l,--list | | *
hostnamectl,timedatectl,localectl | | --no-pager |
hostnamectl,timedatectl,localectl | status | --no-pager -a --all -l --full |
timedatectl | show,list-timezones,timesync-status | --no-pager -p= --value |
loginctl | list-sessions,list-users,list-seats | --no-pager --no-legend |
loginctl | session-status,user-status,show-session,show-user,show-seat | --no-pager -p= --value | *
resolvectl | status,query,statistics,dns,domain | --no-pager -4 -6 | *1
networkctl | status,list,lldp | --no-pager -a | *
ethtool | | | *1
nmcli | device,dev,d,connection,con,c,general,g,networking,radio | | status show
iptables,ip6tables | | -L -S -n -v -x --line-numbers -t= --list --list-rules | *1
iptables-save,ip6tables-save | | -t= -c |
nft | list | -a -n | *
ufw | status | | verbose numbered
firewall-cmd | --list-all,--state,--get-active-zones,--list-ports,--list-services,--get-zones | --zone= |
modinfo | | -F= -n -a -d -l -p | *1
sar | | -u -r -q -b -B -d -p -n= -P= -s= -e= | *
atq | | |
stty | | -a | size speed
crontab | -l | -u= |
update-alternatives | --display,--list,--query,--get-selections | | *
passwd | -S,--status | | *
chage | -l,--list | | *
dpkg-query | -W,--show,-l,-L,-S,-s | -f= --showformat= | *
apt-mark | showhold,showmanual,showauto | | *
rpm | -qa,-q,-qi,-ql,-qf,-qR,-qc,-qd | --last | *
yum,dnf | list,info,search,repolist,check-update,provides | -q --installed --available | *
snap | list,info,version,services | | *
flatpak | list,info | | *
pip,pip3 | list,show,freeze,check | --outdated -o --format= --user --local | *
npm | ls,list,outdated,view,info,ping,whoami,config get | --depth= -g --global --json --all --long | *p
gem | list | -l --local -a | *p
nginx,apachectl,apache2ctl,httpd | -v,-V,-t,-T,configtest,-S | -q |
pm2 | list,ls,status | | *
pg_isready | | -h= -p= -U= -t= -q |
pg_lsclusters | | -h --no-header |
mysqladmin | | -u= -h= -P= | ! status ping version processlist extended-status variables
redis-cli | | -h= -p= -n= -a= | ! ping PING info INFO dbsize DBSIZE server memory clients stats replication keyspace
tcpdump | -D,--list-interfaces | |
ctr | | -n= | containers images tasks namespaces ls list
helm | list,ls,status,history,get values,get notes,get manifest,search repo,repo list | -A --all-namespaces -n= --namespace= -o= --output= -q --short --max= --revision= -a --all | *p
aws | s3 ls | --recursive --human-readable --summarize --region= | *
aws | sts get-caller-identity,ec2 describe-instances | --output= --region= |
ssh-keygen | -lf,-l -f | | *1
ssh-add | -l,-L | |
pip,pip3,npm,gem,watch,make,gmake,gcc,g++,cc,clang,cmake,terraform,tofu,aws,gcloud,az,helm,vault,consul,nomad,kustomize | --version,-V | |
psql,pg_dump,mysql,mysqldump,redis-server,redis-cli,sqlite3,haproxy,htop,tcpdump,strace,perf,nmap,socat,screen,tmux | --version,-V | |
ffmpeg,emacs,nano,vim,less,yq,rclone,restic,certbot,docker-compose,skopeo,buildah | --version | |
npm,gem,watch,make,gmake,haproxy | -v | |
terraform,tofu,helm,vault,consul,nomad,kustomize,gcloud,az,docker-compose | version | |
";

/// Programs that read a file which they are named.
const READS: [&str; 2] = ["ssh-keygen", "modinfo"];

/// Programs that show what they have to say with a pager, unless they are told not to.
const PAGED: [&str; 11] = [
    "hostnamectl",
    "timedatectl",
    "localectl",
    "loginctl",
    "resolvectl",
    "networkctl",
    "nmcli",
    "aws",
    "gcloud",
    "az",
    "dpkg-query",
];

impl Evaluator<'_> {
    /// Whether this is such a form; then it is listed.
    pub(crate) fn asks(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        if matches!(run.program.as_str(), "service" | "nginx") && self.service(run, arguments) {
            return true;
        }
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        let Some(words) = words else { return false };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let fits = FORMS.lines().any(|form| {
            let mut parts = form.split('|').map(str::trim);
            let names = parts.next().unwrap_or_default();
            names.split(',').any(|name| name == run.program) && is_form(&mut parts, &words)
        });
        if !fits {
            return false;
        }
        if PAGED.contains(&run.program.as_str()) && !words.contains(&"--no-pager") && words != ["--version"] {
            self.pages(context);
        }
        let mut run = run.clone();
        run.known = true;
        if READS.contains(&run.program.as_str()) {
            for field in arguments.iter().filter(|field| !field.starts_with("-")) {
                self.path(&mut run, field, Uses::READ, state);
            }
        }
        self.list(run);
        true
    }

    /// `service NAME status|restart|…`, `nginx -s reload`: what is done with a service, by constant names.
    fn service(&mut self, run: &Run, arguments: &[Field]) -> bool {
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        let Some(words) = words else { return false };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let effects: &[Effect] = match words.as_slice() {
            ["-s", "reload" | "reopen" | "quit" | "stop"] if run.program == "nginx" => &[Effect::Service],
            _ if run.program == "nginx" => return false,
            ["--status-all"] => &[],
            [name, "status"] if is_service(name) => &[],
            [
                name,
                "start" | "stop" | "restart" | "reload" | "force-reload" | "try-restart",
            ] if is_service(name) => &[Effect::Service],
            _ => return false,
        };
        let mut run = run.clone();
        run.known = true;
        run.system.extend(effects.iter().copied());
        self.list(run);
        true
    }
}

/// A name of a service that is no script of the machine's own end.
fn is_service(name: &str) -> bool {
    let machine = [
        "halt",
        "reboot",
        "poweroff",
        "shutdown",
        "single",
        "killprocs",
        "sendsigs",
        "umount",
        "suspend",
        "hibernate",
        "sleep",
        "kexec",
        "rescue",
        "emergency",
        "exit",
        "final",
        "runlevel",
        "ctrl-alt",
        "rc",
        "soft-",
    ];
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.@-".contains(c))
        && !machine
            .iter()
            .any(|other| name.starts_with(other) || name.contains(&format!("-{other}")))
}

fn is_form<'t>(parts: &mut impl Iterator<Item = &'t str>, words: &[&str]) -> bool {
    let firsts = parts.next().unwrap_or_default();
    let options: Vec<&str> = parts.next().unwrap_or_default().split_ascii_whitespace().collect();
    let follows: Vec<&str> = parts.next().unwrap_or_default().split_ascii_whitespace().collect();
    if firsts.is_empty() {
        return rest_fits(&options, &follows, words);
    }
    firsts.split(',').any(|first| {
        let first: Vec<&str> = first.split(' ').collect();
        words.starts_with(&first) && rest_fits(&options, &follows, words.get(first.len()..).unwrap_or_default())
    })
}

fn rest_fits(options: &[&str], follows: &[&str], words: &[&str]) -> bool {
    let mut names = 0_usize;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word.starts_with(['-', '+']) {
            let plain = options.contains(word);
            let attached = word
                .split_once('=')
                .is_some_and(|(name, _)| options.iter().any(|option| option.strip_suffix('=') == Some(name)));
            let apart = options.iter().any(|option| option.strip_suffix('=') == Some(*word));
            let cluster = is_cluster(options, word);
            let valued = attached
                || (apart
                    && rest
                        .next()
                        .is_some_and(|value| !value.starts_with('-') && !value.contains("://")));
            // Such a value may be the address of a file.
            if word.contains("://") || !(plain || valued || cluster) {
                return false;
            }
            continue;
        }
        let known = follows.contains(word);
        let any = follows.contains(&"*") || (follows.contains(&"*1") && names == 0);
        let plain = follows.contains(&"*p") && !word.contains(['/', ':']);
        // With an equals sign it would be set.
        if !(known || ((any || plain) && is_name(word))) {
            return false;
        }
        names += 1;
    }
    names > 0 || !follows.contains(&"!")
}

/// `-nv`, where `-n` and `-v` are options.
fn is_cluster(options: &[&str], word: &str) -> bool {
    let letters = word
        .strip_prefix('-')
        .filter(|rest| !rest.starts_with('-') && !rest.is_empty());
    letters.is_some_and(|letters| letters.chars().all(|c| options.contains(&format!("-{c}").as_str())))
}

fn is_name(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._:/@-,+*%".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_four_parts() {
        for form in FORMS.lines().filter(|form| !form.is_empty()) {
            assert_eq!(form.split('|').count(), 4, "{form}");
        }
    }
}
