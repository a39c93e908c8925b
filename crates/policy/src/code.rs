//! The kinds of findings: each has a name that stays, and says what to do about it.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot be right.
    Error,
    /// It is odd, and may be meant.
    Warning,
}

impl Severity {
    /// As words of the command line and of reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static Kind);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    slug: &'static str,
    severity: Severity,
    summary: &'static str,
    help: &'static str,
}

impl Code {
    /// Its name, a slug that stays the same: `unknown-group`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.0.slug
    }

    /// How bad such findings are.
    #[must_use]
    pub fn severity(self) -> Severity {
        self.0.severity
    }

    /// What such findings are about, one sentence.
    #[must_use]
    pub fn summary(self) -> &'static str {
        self.0.summary
    }

    /// What to do about one that brings no advice of its own.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.0.help
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $severity:ident $slug:literal $summary:literal $help:literal)*) => {
        impl Code {
            $(
                $(#[$doc])*
                pub const $name: Self = Self(&Kind {
                    slug: $slug,
                    severity: Severity::$severity,
                    summary: $summary,
                    help: $help,
                });
            )*

            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// Whatever has no kind of its own.
    INVALID Error "invalid" "The bundle is not valid." "correct what is said; the gateway keeps to the bundle before"
    /// A file or folder.
    UNREADABLE Error "unreadable" "A file or folder of the bundle cannot be read."
        "see that it exists, is UTF-8, is not too large, and that whoever runs this may read it"
    /// Cedar or TOML.
    SYNTAX Error "syntax" "A file is not written in its language."
        "correct the place that is shown"
    /// The schema does not know it.
    TYPE_ERROR Error "type-error" "A rule does not fit the schema."
        "look the action or fact up in the schema (`sallyport policy schema DIR` writes it beside the rules)"
    /// A protocol's.
    SCHEMA Error "schema" "The schema itself is not valid." "this is a mistake of the program; please report it"
    /// `@id`.
    MISSING_ID Error "missing-id" "A rule has no `@id`." "write `@id(\"what-it-is-about\")` before the rule"
    /// `@id` twice.
    DUPLICATE_ID Error "duplicate-id" "Two rules have one id." "give one of them another `@id`"
    /// `?principal`.
    TEMPLATE Error "template" "Cedar's templates are not used here." "write the principal and the resource into the rule"
    /// An annotation.
    ANNOTATION Error "annotation" "An annotation is unknown, misplaced or says nothing that can be done."
        "the annotations are listed in the book, on the page about writing policy"
    /// The approval changes nothing.
    HOLD_WITHOUT_RELEASE Error "hold-without-release" "No approval could ever release what a rule holds."
        "let the condition say `unless { context.approved_by.contains(Group::\"…\") }` of each group that `@hold` asks, or of `context.watched_by` with `@moderate`"
    /// Always refused.
    HOLD_OVERRULED Warning "hold-overruled" "What a rule holds is refused by another rule at once."
        "narrow the other rule, or remove this one: nobody is ever asked"
    /// Never permitted.
    HOLD_OF_NOTHING Warning "hold-of-nothing" "No rule permits anything that a rule holds."
        "permit what the approval is meant to release, or remove this rule: nobody is ever asked"
    /// `properties.toml`.
    PROPERTY Error "property" "A property cannot be understood."
        "the book has what a property can say, on the page about what a change of rules changes"
    /// A case that was run.
    CASE_FAILED Error "case-failed" "A case comes out otherwise than it says."
        "`sallyport policy explain` says why; correct the rules, or what the case expects"
    /// A mutant that survived.
    UNNOTICED Warning "unnoticed" "A change of a rule makes no case fail."
        "add a case that this part of the rule decides"
    /// Cedar's validator says so.
    IMPOSSIBLE_RULE Error "impossible-rule" "A rule can never apply."
        "correct its scope or condition, or remove it"
    /// Our own analysis says so.
    CONTRADICTION Error "contradiction" "What a rule asks for excludes itself, so it never applies."
        "correct its scope or condition, or remove it"
    /// No target fits.
    NO_TARGET Warning "no-target" "A rule applies to no target that the bundle has."
        "correct the rule, or the target's environment and tags in targets.toml"
    /// A permit.
    OVERRULED_PERMIT Warning "overruled-permit" "Everything that a rule permits is refused by another."
        "narrow the rule that forbids, or remove this one"
    /// A permit.
    POINTLESS_PERMIT Warning "pointless-permit" "A rule permits only what another permits anyway."
        "remove it, or narrow the other rule: removing or changing this one changes nothing"
    /// A forbid.
    POINTLESS_FORBID Warning "pointless-forbid" "A rule refuses, holds or masks only what another does already."
        "remove it, or narrow the other rule: removing or changing this one changes nothing"
    /// Whatever else Cedar finds odd.
    ODD_RULE Warning "odd-rule" "Something in a rule is odd." "see that the rule says what it looks like"
    /// `classify.toml`.
    CLASSIFICATION Error "classification" "classify.toml is not valid." "correct the entry that is shown"
    /// A detector.
    UNKNOWN_DETECTOR Error "unknown-detector" "There is no such detector." "name a detector that exists"
    /// A class.
    UNKNOWN_CLASSIFICATION Error "unknown-classification" "A class is named that classify.toml does not have."
        "correct the name, or classify something so in classify.toml"
    /// A target.
    UNKNOWN_TARGET Warning "unknown-target" "A target is named that targets.toml does not have."
        "correct the name, or add the target to targets.toml"
    /// An environment.
    UNKNOWN_ENVIRONMENT Warning "unknown-environment" "An environment is named that no target has."
        "correct the name, or give a target in targets.toml this `environment`"
    /// A tag.
    UNKNOWN_TAG Warning "unknown-tag" "A tag is named that no target has."
        "correct the name, or give a target in targets.toml this tag"
    /// `targets.toml`.
    TARGETS Error "targets" "targets.toml is not valid." "correct the entry; the book's page about operating lists the options"
    /// `groups.toml`.
    GROUPS Error "groups" "groups.toml is not valid."
        "write `groups = [\"developers\", { name = \"dba\", description = \"…\" }]`"
    /// A group that groups.toml does not have.
    UNKNOWN_GROUP Error "unknown-group" "A group is named that groups.toml does not have."
        "correct the name, or add the group to groups.toml if the identity provider has it"
    /// Without groups.toml.
    SIMILAR_GROUP Warning "similar-group" "A group is named once, and is a typing error away from another."
        "correct the name; if both groups exist, list them in groups.toml"
    /// `tests/*.toml`.
    CASE Error "case" "A case is not valid." "the form of cases is described in the book, on the page about writing policy"
    /// A case.
    CASE_TARGET Error "case-target" "A case is about a target that targets.toml does not have."
        "correct the name, or add the target to targets.toml"
    /// A case.
    CASE_RULE Error "case-rule" "A case expects a rule that does not exist." "correct the rule's id"
    /// The file for editors.
    STALE_SCHEMA Warning "stale-schema" "A schema for editors is not the one that this version has."
        "run `sallyport policy schema DIR` to write it anew"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn names_are_slugs_and_taken_once() {
        let slugs: BTreeSet<&str> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(
                code.slug().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{code:?}"
            );
            assert!(code.summary().ends_with('.') && !code.help().ends_with('.'), "{code:?}");
        }
    }
}
