//! The operations that this plugin implements.

/// Returns true if a plugin and an operation with these names run a script. Cloudify accepts every
/// plugin whose name ends in `script`.
#[must_use]
pub(crate) fn is_script(plugin: &str, operation: &str) -> bool {
    plugin.ends_with("script") && operation == "script_runner.tasks.run"
}
