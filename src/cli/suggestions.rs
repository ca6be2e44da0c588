//! Suggestions for mistyped commands.

use clap::{
    Error,
    error::{ContextKind, ContextValue},
};
use std::cmp::Reverse;

/// Maximum number of commands to suggest.
const SUGGESTED: usize = 3;

/// Sorts the commands that an error suggests, the closest first. clap lists it last, after all
/// remotely similar commands.
pub(crate) fn closest_first(mut error: Error) -> Error {
    let typed = error.get(ContextKind::InvalidSubcommand);
    let names = error.get(ContextKind::SuggestedSubcommand);
    if let (Some(ContextValue::String(typed)), Some(ContextValue::Strings(names))) = (typed, names)
    {
        let names = ContextValue::Strings(closest(typed, names.clone()));
        error.insert(ContextKind::SuggestedSubcommand, names);
    }
    error
}

fn closest(typed: &str, mut names: Vec<String>) -> Vec<String> {
    let common_prefix = |name: &str| {
        let pairs = typed.chars().zip(name.chars());
        pairs.take_while(|(a, b)| a == b).count()
    };
    names.sort_by_cached_key(|name| {
        let distance = strsim::osa_distance(typed, name);
        (distance, Reverse(common_prefix(name)))
    });
    names.truncate(SUGGESTED);
    names
}

#[cfg(test)]
mod tests {
    use crate::cli::args::Cli;
    use clap::CommandFactory as _;

    fn suggested(typed: &str) -> String {
        let error = Cli::command()
            .try_get_matches_from(["dockctl", typed])
            .expect_err("it is not a command");
        let text = super::closest_first(error).to_string();
        let tip = text.lines().find(|line| line.contains("tip:"));
        tip.unwrap_or_default().trim().to_owned()
    }

    #[test]
    fn the_closest_command_is_suggested_first() {
        for (typed, tip) in [
            (
                "instal",
                "tip: some similar subcommands exist: 'install', 'uninstall', 'reinstall'",
            ),
            ("statsu", "'status', "),
            ("exce", "'exec'"),
            ("plna", "'plan'"),
            ("zzzz", ""),
        ] {
            let suggested = suggested(typed);
            let first = suggested.split("exist: ").last().unwrap_or_default();
            assert!(suggested == tip || first.starts_with(tip), "{suggested}");
        }
    }
}
