//! placeholder
use crate::command::Failed;
use crate::workspace::Workspace;
/// x
pub fn folder(_workspace: &Workspace) -> Result<(), Failed> {
    Ok(())
}
/// x
pub fn dry_run(_workspace: &Workspace) -> Result<(), Failed> {
    Ok(())
}
