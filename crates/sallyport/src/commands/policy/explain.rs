//! `sallyport policy explain`: what is known of a command, which rules have a say, and what comes of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use sallyport_policy::{
    Act, ActionName, Came, Considered, Decision, Disclosure, Meaning, Outcome, Reveal, Situation, Subject, SubjectKind,
    Value, View,
};
use sallyport_session::Raw;
use serde_json::json;
use smol_str::SmolStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::terminal::{indented, print_json, safe};
use super::problems;
use super::workbench::Workbench;

/// Say why a command would be allowed, refused or held: its facts, the rules that are about them, and what each came to.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Who would run it.
    #[arg(long = "as", value_name = "NAME")]
    who: String,
    /// It is a program, not a person.
    #[arg(long)]
    machine: bool,
    /// The groups that they are in.
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',')]
    groups: Vec<String>,
    /// On which target.
    #[arg(long, value_name = "NAME")]
    target: String,
    /// For which task.
    #[arg(long)]
    task: Option<String>,
    /// From which address.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// When, as 2026-11-21T09:00:00Z; now when left out.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<OffsetDateTime>,
    /// Groups that have approved it.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    approved_by: Vec<String>,
    /// How the command is sent, in the protocol's words (`sftp`, `shell`, …); in the usual way when left out.
    #[arg(long)]
    form: Option<String>,
    /// Also rules that are about somebody or something else.
    #[arg(long)]
    all: bool,
    /// The bundle's directory.
    #[arg(long, default_value = "policy", value_name = "DIR")]
    policy: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The command; without one, whether they may connect.
    command: Option<String>,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "a time with an offset is expected: 2026-11-21T09:00:00Z".to_owned())
}

/// Everything that is said.
struct Explanation {
    meaning: Meaning,
    decision: Decision,
    /// Of each act, the rules that are about its action.
    considered: Vec<Result<Vec<Considered>, String>>,
    reveals: Vec<(SmolStr, Disclosure)>,
}

impl ExplainArgs {
    /// Explains.
    ///
    /// # Errors
    /// When the bundle is not valid, or the command cannot be understood here.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let bench = match Workbench::open(&self.policy) {
            Ok(bench) => bench,
            Err(error) => return problems::refuse(error, self.json),
        };
        let explanation = self.explain(&bench)?;
        if self.json {
            return print_json(&explanation.json());
        }
        Ok(write!(stdout(), "{}", explanation.words(self.all)?)?)
    }

    fn explain(&self, bench: &Workbench) -> anyhow::Result<Explanation> {
        let target = bench.resource(&self.target);
        let target = target.with_context(|| format!("the bundle has no target `{}`", safe(&self.target)))?;
        let meaning = self.meaning(bench)?;
        let (who, situation) = (self.subject(), self.situation());
        let standing = bench.bundle.standing(&who, &target).map_err(|why| anyhow!(why))?;
        let considered = meaning
            .acts
            .iter()
            .map(|act| standing.consider(act, &situation))
            .collect();
        let found = bench.bundle.classification(&self.target);
        let decision = bench.bundle.judge(&who, &target, &meaning, &situation);
        let comes_back = decision.outcome != Outcome::Deny && (self.command.is_some() || self.form.is_some());
        let classes: BTreeSet<SmolStr> = meaning
            .shows
            .iter()
            .cloned()
            .chain(found.detectors().iter().map(|detector| detector.class.clone()))
            .filter(|_| comes_back)
            .collect();
        let reveal = |class: SmolStr| {
            let disclosure = standing.reveal(&class, View::Plain, &situation);
            (class, disclosure)
        };
        Ok(Explanation {
            decision,
            considered,
            reveals: classes.into_iter().map(reveal).collect(),
            meaning,
        })
    }

    fn meaning(&self, bench: &Workbench) -> anyhow::Result<Meaning> {
        if self.command.is_none() && self.form.is_none() {
            let facts: [(SmolStr, Value); 4] = [
                ("database".into(), self.target.as_str().into()),
                ("user".into(), self.who.as_str().into()),
                ("replication".into(), false.into()),
                ("tls".into(), true.into()),
            ];
            return Ok(vec![Act::new(ActionName::connect(), facts)].into());
        }
        let raw = Raw {
            text: self.command.as_deref().unwrap_or_default(),
            form: self.form.as_deref(),
        };
        bench.understand(&self.target, &raw).map_err(|why| anyhow!(why))
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: if self.machine {
                SubjectKind::Machine
            } else {
                SubjectKind::User
            },
            id: self.who.clone(),
            groups: self.groups.clone(),
        }
    }

    fn situation(&self) -> Situation {
        Situation {
            task: self.task.clone(),
            source: self.source,
            approved_by: self.approved_by.iter().cloned().collect(),
            ..Situation::at(self.at.unwrap_or_else(OffsetDateTime::now_utc))
        }
    }
}

impl Explanation {
    fn json(&self) -> serde_json::Value {
        let acts = self.meaning.acts.iter().zip(&self.considered).map(|(act, considered)| {
            let facts: serde_json::Map<_, _> = facts(act).collect();
            let rules = considered
                .as_ref()
                .map_or_else(|why| json!({ "error": why }), |rules| json!(rules));
            json!({ "action": act.action.to_string(), "facts": facts, "rules": rules })
        });
        json!({
            "decision": self.decision,
            "unparsed": self.meaning.unparsed,
            "acts": acts.collect::<Vec<_>>(),
            "shown": self.reveals.iter().map(|(class, how)| json!({ "class": class, "how": how })).collect::<Vec<_>>(),
        })
    }

    fn words(&self, all: bool) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        writeln!(out, "{}", verdict(&self.decision))?;
        if let Some(why) = &self.meaning.unparsed {
            writeln!(out, "\nIt is not understood: {}", safe(why))?;
        }
        let mut before: Option<&Act> = None;
        for (act, considered) in self.meaning.acts.iter().zip(&self.considered) {
            writeln!(out, "\n{}", act.action)?;
            let same = before.is_some_and(|before| before.context == act.context);
            before = Some(act);
            if same {
                writeln!(out, "  the same facts")?;
            } else {
                write_facts(act, &mut out)?;
            }
            match considered {
                // What does not apply to the same facts was said once.
                Ok(rules) => write_rules(
                    rules.iter().filter(|rule| all || !same || rule.came == Came::Applies),
                    all,
                    &mut out,
                )?,
                Err(why) => writeln!(out, "  {why}")?,
            }
        }
        for (at, (class, disclosure)) in self.reveals.iter().enumerate() {
            if at == 0 {
                writeln!(out, "\nValues in what comes back")?;
            }
            let found = if self.meaning.shows.contains(class) {
                ""
            } else {
                ", where a detector finds any"
            };
            writeln!(out, "  {class}: {}{found}", shown(disclosure))?;
        }
        Ok(out)
    }
}

fn verdict(decision: &Decision) -> String {
    let rules: Vec<String> = decision.rules.iter().map(|rule| format!("`{rule}`")).collect();
    let by = match rules.as_slice() {
        [] => String::new(),
        rules => format!(" by {}", rules.join(", ")),
    };
    let message = decision
        .message
        .as_deref()
        .map(|m| format!(": {}", safe(m)))
        .unwrap_or_default();
    format!("{}{by}{message}", decision.outcome)
}

fn shown(disclosure: &Disclosure) -> String {
    let how = match &disclosure.reveal {
        Reveal::Clear => "in the clear".to_owned(),
        Reveal::Mask(strategy) => format!("masked ({strategy})"),
        Reveal::Withhold => "not at all".to_owned(),
    };
    let rules: Vec<String> = disclosure.rules.iter().map(|rule| format!("`{rule}`")).collect();
    if rules.is_empty() {
        how
    } else {
        format!("{how}, by {}", rules.join(", "))
    }
}

/// The facts of an act as JSON would have them.
fn facts(act: &Act) -> impl Iterator<Item = (String, serde_json::Value)> {
    act.context.iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(value) => json!(value),
            Value::Long(value) => json!(value),
            Value::String(text) => json!(text),
            Value::Strings(items) | Value::Entities(_, items) => json!(items),
            Value::Entity(_, id) => json!(id),
            Value::Ip(address) => json!(address),
            Value::Time(time) => json!(time.to_string()),
        };
        (name.to_string(), value)
    })
}

/// What is empty, false or nothing is left out: it is most of it.
fn write_facts(act: &Act, out: &mut String) -> std::fmt::Result {
    for (name, value) in facts(act) {
        let nothing = value.as_array().is_some_and(Vec::is_empty) || value == json!(false) || value == json!("");
        if !nothing {
            writeln!(out, "  {name} = {}", safe(&value.to_string()))?;
        }
    }
    Ok(())
}

fn write_rules<'a>(rules: impl Iterator<Item = &'a Considered>, all: bool, out: &mut String) -> std::fmt::Result {
    for rule in rules {
        let effect = if rule.permits { "permits" } else { "forbids" };
        let otherwise = if rule.permits { "would permit" } else { "would forbid" };
        let said = match rule.came {
            Came::Applies => effect.to_owned(),
            Came::Broken => "cannot be evaluated".to_owned(),
            Came::Observes => format!("{otherwise}, but only observes"),
            Came::ConditionFails => format!("{otherwise}, but its condition does not hold"),
            Came::OtherPrincipal if all => format!("{otherwise}, but is about other principals"),
            Came::OtherResource if all => format!("{otherwise}, but is about other targets"),
            Came::OtherPrincipal | Came::OtherResource => continue,
        };
        writeln!(out, "  rule `{}` {said}", rule.rule)?;
        if matches!(
            rule.came,
            Came::Applies | Came::ConditionFails | Came::Observes | Came::Broken
        ) {
            for (name, value) in &rule.reads {
                writeln!(out, "{}", indented(&format!("context.{name} is {value}"), "      "))?;
            }
        }
    }
    Ok(())
}
