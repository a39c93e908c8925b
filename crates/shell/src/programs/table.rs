//! Programs and how they use their arguments; `profile` says how a line reads. A line that starts with a blank goes on
//! where the one before it ended.
//!
//! Only options that take a value, or change what is done, are named: any other is taken for one that does neither.
//! A value that stands apart from its option counts as an operand too, so that a program of which two versions
//! disagree hides nothing. So a program stands here only if no option of it runs code that is not named.

pub(crate) const PROFILES: &str = r"
cat,tac,rev,cksum,sum,expand,unexpand,md5sum,sha1sum,sha224sum,sha256sum,sha384sum,
  sha512sum,b2sum,look,tsort,cmp,comm,hexdump,hd,nl,fmt,fold,pr,base32,base64,basenc,strings | | *=r |
zcat,bzcat,xzcat,zstdcat | -r,--recursive!R --files?rO --files0?rO --filelist=rO | *=r |
paste,column,colrm,od,cut,factor,iconv,pv | -o,--output=w | *=r |
xxd | -c=_ -g=_ -l=_ -n=_ -o=_ -s=_ -R=_ | 1=r *=rw | first
wc,du | --files0-from=rO -X,--exclude-from=r | *=rR |
head,tail | -n,--lines=_ -c,--bytes=_ -s=_ --pid=_ | *=r |
tr,seq,sleep,yes,basename,dirname,expr,arch,nproc,tty,whoami,logname,groups,uname,uptime,free,lscpu,lsblk,
  lsmem,lspci,lsusb,lsmod,getconf,locale,printenv,vmstat,mpstat,iostat,cal,ncal,sync,clear,tput,numfmt,id,w,
  pidof,whereis,which,lsb_release,hostid,runlevel,ipcs,nstat,pwdx,ps,pstree,usleep,top | | *=_ | any
pidstat | -e!O | *=_ |
ping,ping6,traceroute,tracepath,nslookup,host,whois,arping | | *=_ | any network
dig | -f=r -k=r | *=_ | network
who,users,last,lastb,lastlog | -f,--file=r | *=r |
hostname | -F,--file=r | *=_ |
pgrep | -F,--pidfile=r | *=_ |
getent | -s,--service=_ | *=_ | databases
date | -f,--file=r -r,--reference=r -s,--set!O -d,--date=_ | *=_ |
dmesg | -F,--file=r -K,--kmsg-file=r | *=_ |
sort | -k,--key=_ -t,--field-separator=_ -S,--buffer-size=_ -T,--temporary-directory=w -o,--output=w
  --files0-from=rO --compress-program=x --random-source=r --batch-size=_ --parallel=_ | *=r |
uniq | -f,--skip-fields=_ -s,--skip-chars=_ -w,--check-chars=_ | 1=r *=rw |
join | -1=_ -2=_ -a=_ -v=_ -t=_ -e=_ -o=_ -j=_ | *=r |
shuf | -n,--head-count=_ -i,--input-range=_ -o,--output=w --random-source=r | *=r |
csplit | -f,--prefix=w -n=_ -b=_ | 1=r *=w | strict-here siblings
split | --filter=h -a,--suffix-length=_ -b,--bytes=_ -C,--line-bytes=_ -l,--lines=_ -n,--number=_
  -f,--prefix=w -t,--separator=_ | 1=r *=w | splits siblings
grep,egrep,fgrep,zgrep,bzgrep,xzgrep | -e,--regexp=_ -f,--file=r -A,--after-context=_ -B,--before-context=_
  -C,--context=_ -m,--max-count=_ -d,--directories=_R -D,--devices=_ --include=_ --exclude=_ --exclude-dir=_
  --exclude-from=r --label=_ --color,--colour?_ --binary-files=_ -r,--recursive!R -R,--dereference-recursive!R |
  1=_^-e^-f *=r | here
ls,dir,vdir | -I,--ignore=_ -w,--width=_ -T,--tabsize=_ | *=l |
stat,readlink,realpath,namei,pathchk,mountpoint,lsattr,getfacl,getcap,getfattr | -c,--format=_ --printf=_ | *=l |
df,findmnt,lsof,lslocks | -F,--tab-file=r | *=l |
file | -f,--files-from=r -m,--magic-file=r -F,--separator=_ -C,--compile!W | *=r |
tree | --fromfile!r --fromtabfile!r --gitfile=r --infofile=r -L=_ -P=_ -I=_ -o=w -H=_ -T=_ | *=l |
cp | -t,--target-directory=wbT -S,--suffix=_ -r,-R,--recursive!R -a,--archive!R -s,--symbolic-link!RW -l,--link!RW |
  $=wb *=r |
mv | -t,--target-directory=wbT -S,--suffix=_ | $=wb *=rwdR |
install | -t,--target-directory=wbT -S,--suffix=_ -m,--mode=_ -o,--owner=_ -g,--group=_ --strip-program=x
  -d,--directory!W | $=wb *=r |
ln,link | -t,--target-directory=wbT -S,--suffix=_ | $=rwbR *=rwR |
rm | -r,-R,--recursive!R | *=d |
rmdir,unlink | | *=d |
shred | -n,--iterations=_ -s,--size=_ --random-source=r | *=wd |
truncate | -s,--size=_ -r,--reference=r | *=w |
fallocate | -l,--length=_ -o,--offset=_ | *=w |
touch | -d,--date=_ -r,--reference=r -t=_ --time=_ | *=w |
mkdir,mkfifo | -m,--mode=_ | *=w |
mknod | -m,--mode=_ | *=w | device
mktemp | -p=w --tmpdir?w --suffix=_ | *=w |
chmod | --reference=r -R,--recursive!R | *=w |
chown,chgrp | --reference=r --from=_ -R,--recursive!R | 1=_^--reference *=w |
chattr,setfacl,setcap,setfattr,chcon | -R,--recursive!R -M,--modify-file=r -X,--remove-file=r --restore=rO
  --set-file=r | *=w |
tee | | *=w |
gzip,gunzip,bzip2,bunzip2,xz,unxz,lzma,zstd,unzstd,lz4,compress,uncompress | -S,--suffix=_ -o=w -D=r
  -N,--name!B --rm!B -c,--stdout,--to-stdout!V -t,--test!V --list!V -r,--recursive!R --files?rO --files0?rO --output-dir-flat=w --output-dir-mirror=w --filelist=rO | *=rwd | siblings
zip | -r,--recurse-paths!R -m,--move!D --unzip-command,-TT=x -b,--temp-path=w -O,--output-file=w -T,--test!O -@!O |
  1=rw *=r | wild siblings
unzip,zipinfo | -d=wR -l!V -t!V | 1=r *=_ | strict-here
diff,diff3,zdiff | -r,--recursive!R -x,--exclude=_ -X,--exclude-from=r -I=_ -L,--label=_ -U,--unified?_
  -C,--context?_ --from-file=rR --to-file=rR -W,--width=_ -S,--starting-file=_ -F=_ --diff-program=x | *=rR |
jq | -f,--from-file=r -L=r --arg=_ --argjson=_ --slurpfile=_ --rawfile=_ --indent=_ | *=r |
bc | | *=r |
logger | -f,--file=r -t,--tag=_ -p,--priority=_ | *=_ |
curl | -o,--output=w --output-dir=wR -O,--remote-name!U --remote-name-all!U -J,--remote-header-name!C
  -T,--upload-file=ru -d,--data,--data-ascii,--data-binary,--data-urlencode,--json=s --data-raw=_ -F,--form=q
  -K,--config=f -H,--header=s -b,--cookie=r -c,--cookie-jar=w -D,--dump-header=w -E,--cert=r --key=r --cacert=r
  --capath=r --trace=w --trace-ascii=w --stderr=w --netrc-file=r --libcurl=w --etag-save=w --etag-compare=r
  --hsts=rw --alt-svc=rw --crlfile=r --proxy-cert=r --proxy-key=r --proxy-cacert=r --pubkey=r --url-query=s
  --variable=s --engine=x -X,--request=m -u,--user=_ -A,--user-agent=_ -e,--referer=_ -m,--max-time=_
  --connect-timeout=_ -w,--write-out=s -x,--proxy=_ -U,--proxy-user=_ --retry=_ --retry-delay=_ --retry-max-time=_
  -r,--range=_ -y,--speed-time=_ -Y,--speed-limit=_ -z,--time-cond=r --limit-rate=_ --resolve=_ --connect-to=_
  --interface=_ --max-redirs=_ -C,--continue-at=_ --unix-socket=rw --proto=_ --proto-default=O --proto-redir=_
  --tls-max=_ --ciphers=_ -Q,--quote=x -t,--telnet-option=_ -P,--ftp-port=_ --noproxy=_ --oauth2-bearer=_
  --aws-sigv4=_ --form-string=_ --pass=_ --url=u --socks5=_ --socks5-hostname=_ --create-file-mode=_ --dns-servers=_
  --doh-url=_ --keepalive-time=_ -n,--netrc -s,--silent -S,--show-error --ssl-reqd -G,--get -L,--location -I,--head
  -i,--include -f,--fail -v,--verbose -k,--insecure -4,--ipv4 -6,--ipv6 -R,--remote-time -N,--no-buffer -g,--globoff
  -a,--append -q,--disable -#,--progress-bar --compressed -j,--junk-session-cookies -l,--list-only -p,--proxytunnel
  -Z,--parallel -0,--http1.0 -1,--tlsv1 -B,--use-ascii --http1.1 --http2 --http3 --no-progress-meter
  --fail-with-body --raw --tlsv1.2 --tlsv1.3 --path-as-is --create-dirs --location-trusted --post301 --post302
  --post303 --anyauth --basic --digest -V,--version -h,--help | *=u | network strict
wget | -O,--output-document=w -o,--output-file=w -a,--append-output=w -P,--directory-prefix=wR -i,--input-file=r
  --post-file=r --body-file=r --post-data=_ --body-data=_ -e,--execute=x --use-askpass=x --config=f --certificate=r
  --private-key=r --ca-certificate=r --ca-directory=r --load-cookies=r --save-cookies=w --warc-file=w --hsts-file=rw
  --header=_ -U,--user-agent=_ -t,--tries=_ -T,--timeout=_ -w,--wait=_ --user=_ --password=_ --method=m --referer=_
  -l,--level=_ -A,--accept=_ -R,--reject=_ -D,--domains=_ --limit-rate=_ -Q,--quota=_ -B,--base=_
  --connect-timeout=_ --read-timeout=_ --dns-timeout=_ --progress=_ --cut-dirs=_ --rejected-log=w -q,--quiet
  -n,--no-verbose -S,--server-response --spider -c,--continue -N,--timestamping --no-check-certificate
  -4,--inet4-only -6,--inet6-only -r,--recursive!C -k,--convert-links -p,--page-requisites!C -m,--mirror!C
  --content-disposition!C --trust-server-names!C -x,--force-directories!C --show-progress --no-proxy -d,--debug
  -v,--verbose -b,--background!C -h,--help -V,--version | *=u | network strict saves
netstat | | *=_ |
ss | -F,--filter=r -D,--diag=w -A,--query,--socket=_ -f,--family=_ -N,--net=O -K,--kill!O | *=_ |
renice | | *=_ | any signal
fuser | -k,--kill!O | *=l |
useradd,userdel,usermod,groupadd,groupdel,groupmod,adduser,deluser,addgroup,delgroup,passwd,chpasswd,chage,chsh,
  chfn,gpasswd,vipw,vigr,visudo,newusers,pwconv,grpconv,faillock | | *=rwdR | account unknown
mount,umount,swapon,swapoff,losetup,mkfs,mkfs.ext4,mkfs.xfs,mke2fs,mkswap,fdisk,sfdisk,cfdisk,gdisk,sgdisk,
  parted,partprobe,fsck,e2fsck,resize2fs,tune2fs,wipefs,blkdiscard,cryptsetup,lvm,lvcreate,lvremove,vgremove,
  pvremove,lvextend,mdadm,pivot_root,switch_root,zpool,zfs,btrfs,hdparm,blockdev,dmsetup,fstrim,debugfs | | *=rwdR |
  mount device unknown
modprobe,insmod,rmmod,depmod,sysctl,bpftool,setenforce,auditctl,chcpu,cpupower,kmod,hwclock | | *=rw | kernel
  unknown
kexec,rtcwake,pm-suspend,pm-hibernate | | *=rw | kernel power unknown
iptables,ip6tables,nft,ufw,firewall-cmd,ebtables,arptables,ipset,tc,iptables-restore,ip6tables-restore,ifconfig,
  route,ifup,ifdown,nmcli,brctl,ethtool,ipvsadm,wg,wg-quick,netplan,dhclient,bridge | | *=rw | firewall unknown
apt,apt-get,aptitude,dpkg,yum,dnf,rpm,apk,zypper,pacman,snap,flatpak,pip,pip3,npm,yarn,gem,cargo,go,composer,
  dpkg-reconfigure,update-alternatives,update-rc.d,chkconfig,add-apt-repository | | *=rwdR | package startup unknown
service,invoke-rc.d,initctl,rc-service,supervisorctl,pm2,start-stop-daemon,hostnamectl,timedatectl,localectl,
  loginctl | | *=rwdR | service unknown
crontab,at,batch,anacron,atrm | | *=rw | startup unknown
vi,vim,vimdiff,view,ex,nvim,nano,pico,emacs,emacsclient,ed,red,joe,mcedit,mc,less,more,most,pg,zless,zmore,man,
  info,gdb,lldb,ftp,lftp,sftp,telnet,w3m,lynx,links,elinks,mutt,byobu,tmux,screen,nnn,ranger,rlwrap,dialog,fzf,
  script,expect | | *=rwR | escape
mysql,psql,sqlite3,mongo,mongosh,redis-cli | | *=rw | escape network
ssh-keygen,ssh-add,ssh-copy-id | | *=rw | account unknown
";
