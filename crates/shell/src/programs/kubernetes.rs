//! `kubectl` and its kin.

use super::options::{Options, Order, Parsed, parse};
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Effect, Opaque, Run};
use crate::paths::field::Field;

const OPTIONS: &str = "-n,--namespace=_ --context=_ --cluster=_ --user=_ --kubeconfig=f -s,--server=_ --token=_ \
    --as=_ --as-group=_ --as-uid=_ --certificate-authority=r --client-certificate=r --client-key=r -l,--selector=_ \
    -f,--filename=F -R,--recursive -k,--kustomize=F -o,--output=_ --template=r --field-selector=_ -c,--container=_ \
    --grace-period=_ --timeout=_ -v,--v=_ --request-timeout=_ --cascade?_ -A,--all-namespaces --all --force --now \
    --wait?_ --ignore-not-found?_ --dry-run?_ --prune --prune-allowlist=_ --prune-whitelist=_ --applyset=_ \
    --replicas=_ --tail=_ --since=_ --since-time=_ -p,--previous -w,--watch --watch-only --sort-by=_ --show-labels \
    --no-headers --raw=W -i,--stdin -t,--tty -q,--quiet -L,--label-columns=_ --for=_ --type=_ --patch=_ \
    --patch-file=r --image=_ --port=_ --target-port=_ --name=_ --overwrite --from-literal=_ --from-file=r \
    --from-env-file=r --cache-dir=rw --log-flush-frequency=_ --profile=O --profile-output=w \
    --insecure-skip-tls-verify?_ --tls-server-name=_ --username=_ --password=_ --warnings-as-errors \
    --match-server-version --disable-compression --chunk-size=_ --subresource=_ --show-kind --show-managed-fields \
    --max-log-requests=_ --prefix --timestamps --limit-bytes=_ --server-side --field-manager=_ --validate?_ \
    --limits=_ --requests=_ --record?_ -h,--help --short --client --containers --sum --use-protocol-buffers \
    --ignore-errors --all-containers --follow --ignore-daemonsets --delete-emptydir-data --delete-local-data \
    --disable-eviction --pod-selector=_ --current";

/// Verbs that change nothing in the cluster.
const READS: [&str; 16] = [
    "get",
    "describe",
    "logs",
    "top",
    "version",
    "api-resources",
    "api-versions",
    "cluster-info",
    "explain",
    "auth",
    "wait",
    "diff",
    "options",
    "events",
    "help",
    "kustomize",
];
/// Verbs that change something.
const CHANGES: [&str; 28] = [
    "apply",
    "replace",
    "create",
    "patch",
    "edit",
    "scale",
    "rollout",
    "label",
    "annotate",
    "set",
    "taint",
    "cordon",
    "drain",
    "uncordon",
    "expose",
    "autoscale",
    "run",
    "cp",
    "port-forward",
    "proxy",
    "attach",
    "debug",
    "certificate",
    "config",
    "completion",
    "plugin",
    "convert",
    "alpha",
];

/// Short names and plurals of kinds, as the API server knows them.
const KINDS: [(&str, &str); 26] = [
    ("ns", "namespace"),
    ("namespaces", "namespace"),
    ("po", "pod"),
    ("pods", "pod"),
    ("deploy", "deployment"),
    ("deployments", "deployment"),
    ("svc", "service"),
    ("services", "service"),
    ("no", "node"),
    ("nodes", "node"),
    ("pv", "persistentvolume"),
    ("persistentvolumes", "persistentvolume"),
    ("pvc", "persistentvolumeclaim"),
    ("persistentvolumeclaims", "persistentvolumeclaim"),
    ("cm", "configmap"),
    ("configmaps", "configmap"),
    ("secrets", "secret"),
    ("sts", "statefulset"),
    ("statefulsets", "statefulset"),
    ("ds", "daemonset"),
    ("daemonsets", "daemonset"),
    ("crd", "customresourcedefinition"),
    ("crds", "customresourcedefinition"),
    ("jobs", "job"),
    ("project", "namespace"),
    ("projects", "namespace"),
];

impl Evaluator<'_> {
    /// `kubectl`, `oc`.
    pub(crate) fn kubernetes(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        if !matches!(run.program.as_str(), "kubectl" | "oc") {
            return false;
        }
        let mut run = run.clone();
        run.known = true;
        run.network = true;
        let (own, behind) = split_command(arguments);
        let mut parsed = parse(&Options::of(OPTIONS), own, Order::Anywhere);
        // `-f=file` is `-f file`.
        for value in parsed.given.iter_mut().filter(|given| !given.apart) {
            value.value = value.value.take().map(|value| match value.starts_with("=") {
                true => value.skip(1),
                false => value,
            });
        }
        for given in &parsed.given {
            if given.role.contains('O') {
                self.opaque(Opaque::UnknownOption);
            }
            if let Some(value) = &given.value {
                let role: String = given.role.chars().filter(|c| "rwf".contains(*c)).collect();
                self.role(&role, value, &mut run, state, context);
            }
        }
        for file in parsed.values("-f").chain(parsed.values("-k")) {
            let remote = file.starts_with("http://") || file.starts_with("https://");
            let follows = file.exact().as_deref() == Some("-f");
            if !remote && !follows && file.exact().as_deref() != Some("-") {
                self.path(&mut run, file, Uses::READ.recursively(), state);
            }
        }
        // An option that is not known may take the next argument: then the verb is another.
        let before = own.get(..parsed.first_operand).unwrap_or_default();
        if !parse(&Options::of(OPTIONS), before, Order::Anywhere).unknown.is_empty() {
            self.opaque(Opaque::UnknownOption);
        }
        self.formats(&mut run, &parsed, state);
        let verb = parsed.operands.first().map(Field::exact);
        let Some(Some(verb)) = verb else {
            if !parsed.operands.is_empty() || parsed.dynamic {
                self.opaque(Opaque::DynamicArgument);
                run.kubernetes_deletes.insert("*".to_owned());
            }
            self.list(run);
            return true;
        };
        self.verb(run, &verb, &parsed, behind, state, context);
        true
    }

    /// `-o go-template-file=FILE`, `-o jsonpath-file=FILE` and their like.
    fn formats(&mut self, run: &mut Run, parsed: &Parsed, state: &State) {
        for format in parsed.values("-o") {
            if let Some((kind, file)) = format.split_at('=')
                && kind.exact().is_none_or(|kind| kind.ends_with("-file"))
            {
                self.path(run, &file, Uses::READ, state);
            }
        }
    }

    fn verb(
        &mut self,
        mut run: Run,
        verb: &str,
        parsed: &Parsed,
        behind: Option<&[Field]>,
        state: &State,
        context: &Context,
    ) {
        let reads = READS.contains(&verb);
        // `logs -f` follows; nothing else reads differently.
        let strict = !reads && verb != "exec";
        if strict && (!parsed.unknown.is_empty() || parsed.dynamic) {
            self.opaque(if parsed.dynamic {
                Opaque::DynamicArgument
            } else {
                Opaque::UnknownOption
            });
        }
        let rest = parsed.operands.get(1..).unwrap_or_default();
        match verb {
            "delete" => {
                run.system.insert(Effect::Cluster);
                self.deleted(&mut run, parsed, rest);
                self.list(run);
            }
            "exec" | "rsh" => self.executed(run, parsed, rest, behind, state, context),
            _ if reads => self.looked(run, verb, parsed, rest, state),
            _ if CHANGES.contains(&verb) => self.changed(run, verb, parsed, rest, state),
            // A plugin: another program.
            _ => self.unknown(run, rest, state),
        }
    }

    /// A verb that changes nothing.
    fn looked(&mut self, mut run: Run, verb: &str, parsed: &Parsed, rest: &[Field], state: &State) {
        let subverb = rest.first().and_then(Field::exact);
        if (verb == "auth" && subverb.as_deref() == Some("reconcile")) || parsed.has("--raw") && parsed.dynamic {
            run.system.insert(Effect::Cluster);
        }
        let programs = |field: &Field| {
            let text = field.exact().unwrap_or_default();
            text.starts_with("--output-dir") || verb == "kustomize"
        };
        // A dump is written to files, and a kustomization may run programs.
        if parsed.unknown.iter().any(programs) || verb == "kustomize" && !parsed.given.is_empty() {
            self.opaque(Opaque::UnknownOption);
        }
        if verb == "kustomize" {
            self.any_path(&mut run, rest, Uses::READ.recursively(), state);
        }
        self.list(run);
    }

    /// A verb that changes something.
    fn changed(&mut self, mut run: Run, verb: &str, parsed: &Parsed, rest: &[Field], state: &State) {
        if verb == "config"
            && rest
                .first()
                .and_then(Field::exact)
                .is_some_and(|sub| sub.starts_with("get-") || sub == "view" || sub == "current-context")
        {
            return self.list(run);
        }
        run.system.insert(Effect::Cluster);
        // What it runs to log in is named there; which of its entries are used is not that.
        let chooses = rest.first().and_then(Field::exact);
        let chooses =
            chooses.is_some_and(|sub| matches!(sub.as_str(), "use-context" | "set-context" | "rename-context"));
        if verb == "config" && !chooses {
            self.path(
                &mut run,
                &Field::constant(&format!("{}/.kube/config", self.setting.home)),
                Uses::WRITE,
                state,
            );
        }
        if parsed.has("--prune") || verb == "replace" && (parsed.has("--force") || parsed.has("--raw")) {
            run.kubernetes_deletes.insert("*".to_owned());
        }
        if verb == "drain" {
            run.kubernetes_deletes.insert("pod".to_owned());
        }
        if matches!(verb, "edit" | "attach" | "debug" | "plugin" | "alpha") {
            self.opaque(Opaque::ShellEscape);
        }
        if matches!(verb, "cp" | "run" | "config") {
            self.any_path(&mut run, rest, Uses::only(true, true, false), state);
        }
        self.list(run);
    }

    /// Which kinds `delete` deletes.
    fn deleted(&mut self, run: &mut Run, parsed: &Parsed, operands: &[Field]) {
        let named_elsewhere = parsed.has("-f") || parsed.has("-k") || parsed.has("--raw");
        if named_elsewhere || operands.is_empty() || !parsed.unknown.is_empty() {
            run.kubernetes_deletes.insert("*".to_owned());
        }
        let mut first = true;
        for operand in operands {
            let Some(text) = operand.exact() else {
                // Behind a kind, names decide nothing of it.
                if first || operand.many || operand.contains('/') {
                    self.opaque(Opaque::DynamicArgument);
                    run.kubernetes_deletes.insert("*".to_owned());
                }
                first = false;
                continue;
            };
            if let Some((kind, _)) = text.split_once('/') {
                run.kubernetes_deletes.insert(kind_of(kind));
            } else if first {
                run.kubernetes_deletes.extend(text.split(',').map(kind_of));
            }
            first = false;
        }
    }

    /// `exec POD -- COMMAND`: what runs there is another system's.
    fn executed(
        &mut self,
        mut run: Run,
        parsed: &Parsed,
        operands: &[Field],
        behind: Option<&[Field]>,
        state: &State,
        context: &Context,
    ) {
        run.system.insert(Effect::Cluster);
        let mut via = context.through(&run.program);
        via.program_only = true;
        let pod = operands.first();
        via.host = Some(pod.map(Field::show).unwrap_or_default());
        let command = match behind {
            Some(command) => command.to_vec(),
            None => operands.get(1..).unwrap_or_default().to_vec(),
        };
        if behind.is_none() && (!parsed.unknown.is_empty() || parsed.dynamic) {
            self.opaque(Opaque::UnknownOption);
        }
        if command.is_empty() {
            self.opaque(Opaque::CodeFromStdin);
        }
        let _ = state;
        self.list(run);
        self.invoke(&command, State::elsewhere(self.setting), &via);
    }
}

/// Before and behind a lone `--`.
pub(crate) fn split_command(arguments: &[Field]) -> (&[Field], Option<&[Field]>) {
    match arguments
        .iter()
        .position(|field| field.exact().as_deref() == Some("--"))
    {
        Some(at) => (arguments.get(..at).unwrap_or_default(), arguments.get(at + 1..)),
        None => (arguments, None),
    }
}

/// A kind by its one name: without group and version, in small letters.
fn kind_of(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let bare = lower.split('.').next().unwrap_or_default();
    KINDS
        .iter()
        .find(|(other, _)| *other == bare)
        .map_or_else(|| bare.to_owned(), |(_, kind)| (*kind).to_owned())
}
