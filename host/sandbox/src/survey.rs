//! What a component is made of, counted before it is compiled.
//!
//! A component may contain components and instantiate each of them several times. A compiler lays all of it out flat, so that sixty
//! levels of two instances each, three kilobytes, ask for 2^60 instances. Here they are counted by multiplication: a component's
//! number is the sum of those of all it instantiates. A component that takes another one as an argument, or gets one out of an
//! instance, is refused, because what it instantiates is then not known here; no toolchain makes such. Price: one walk over the
//! sections, without the bodies of functions.

use std::path::Path;

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Instance,
    Parser, Payload,
};

use crate::error::LoadError;

/// Deepest nesting of components.
const DEPTH: usize = 64;

/// A component whose sections are being read.
#[derive(Default)]
struct Level {
    /// Instances that each component of its index space comes to; saturating.
    components: Vec<u64>,
    /// Its own.
    instances: u64,
}

/// Refuses a component that comes to more than `most` instances, of core modules and components.
pub(crate) fn check(path: &Path, bytes: &[u8], most: usize) -> Result<(), LoadError> {
    let instances = count(bytes).map_err(|reason| LoadError::NotAComponent {
        path: path.to_owned(),
        reason,
        help: "the file is damaged, or made by a toolchain that is newer than this host".into(),
    })?;
    if instances > most as u64 {
        return Err(LoadError::Instances { path: path.to_owned(), instances, most });
    }
    Ok(())
}

/// How many instances a component comes to, or why that cannot be told.
fn count(bytes: &[u8]) -> Result<u64, String> {
    let mut levels = vec![Level::default()];
    let mut whole = None;
    // Modules may lie in components: what is read between such a module's begin and end is skipped.
    let mut modules = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| error.message().to_owned())?;
        if modules > 0 {
            modules -= usize::from(matches!(payload, Payload::End(_)));
            continue;
        }
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        match payload {
            Payload::ModuleSection { .. } => modules += 1,
            Payload::ComponentSection { .. } if depth == DEPTH => {
                return Err(format!("its components are nested more than {DEPTH} levels deep"));
            }
            Payload::ComponentSection { .. } => levels.push(Level::default()),
            Payload::End(_) => {
                let done = levels.pop().map_or(0, |level| level.instances);
                match levels.last_mut() {
                    Some(outer) => outer.components.push(done),
                    None => whole = Some(done),
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    let made = instance.map_err(|error| error.message().to_owned())?;
                    level.instances =
                        level.instances.saturating_add(u64::from(matches!(made, Instance::Instantiate { .. })));
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let made = instance.map_err(|error| error.message().to_owned())?;
                    if let ComponentInstance::Instantiate { component_index, .. } = made {
                        let inner = level.components.get(component_index as usize);
                        let inner = *inner.ok_or("it instantiates a component that is not there")?;
                        level.instances = level.instances.saturating_add(inner).saturating_add(1);
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    if matches!(import.map_err(|error| error.message().to_owned())?.ty, ComponentTypeRef::Component(_))
                    {
                        return Err("it takes a component as an argument".into());
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    let component = alias.map_err(|error| error.message().to_owned())?;
                    alias_of(component, &mut levels)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export.map_err(|error| error.message().to_owned())?;
                    // An export is a further name in the same index space.
                    if export.kind == ComponentExternalKind::Component {
                        let named = *level
                            .components
                            .get(export.index as usize)
                            .ok_or("it exports a component that is not there")?;
                        level.components.push(named);
                    }
                }
            }
            _ => {}
        }
    }
    whole.ok_or_else(|| "it ends too early".into())
}

/// A component by another name.
fn alias_of(alias: ComponentAlias<'_>, levels: &mut [Level]) -> Result<(), String> {
    match alias {
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
            Err("it gets a component out of an instance".into())
        }
        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
            let outer =
                levels.len().checked_sub(1 + count as usize).and_then(|at| levels[at].components.get(index as usize));
            let outer = *outer.ok_or("it names a component of an outer one that is not there")?;
            if let Some(level) = levels.last_mut() {
                level.components.push(outer);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Result<u64, String> {
        count(&wat::parse_str(text).unwrap())
    }

    /// Components within components, each of which makes two instances of the next.
    fn nested(levels: usize) -> String {
        let two = "(instance (instantiate $inner)) (instance (instantiate $inner))";
        let leaf = "(component $inner (core module $m) (core instance (instantiate $m)))".to_owned();
        (1..levels).fold(leaf, |inner, _| format!("(component $inner {inner} {two})"))
    }

    #[test]
    fn instances_within_instances_are_multiplied() {
        assert_eq!(counted("(component)"), Ok(0));
        assert_eq!(
            counted("(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))"),
            Ok(2)
        );
        assert_eq!(counted(&format!("(component {})", nested(1))), Ok(0));
        // One instance in the leaf; two of all that is within and of itself, level by level.
        let three = format!("(component {} (instance (instantiate $inner)))", nested(3));
        assert_eq!(counted(&three), Ok(1 + 2 * (1 + 2 * (1 + 1))));
        let many = counted(&format!("(component {} (instance (instantiate $inner)))", nested(58))).unwrap();
        assert!(many > 1 << 57, "{many}");
        let most = counted(&format!("(component {} (instance (instantiate $inner)))", nested(63))).unwrap();
        assert!(most > 1 << 62, "{most}");
    }

    #[test]
    fn a_component_is_found_under_all_of_its_names() {
        let named = |names: &str, which: &str| {
            let two = "(core module $m) (core instance (instantiate $m)) (core instance (instantiate $m))";
            counted(&format!("(component (component $a {two}) {names} (instance (instantiate {which})))"))
        };
        assert_eq!(named("", "$a"), Ok(3));
        assert_eq!(named("(export $b \"b\" (component $a))", "$b"), Ok(3));
        assert_eq!(named("(component $b (alias outer 1 $a (component $c)) (instance (instantiate $c)))", "$b"), Ok(4));
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        insta::assert_snapshot!(
            counted("(component (import \"a\" (component $a)) (instance (instantiate $a)))").unwrap_err(),
            @"it takes a component as an argument"
        );
        insta::assert_snapshot!(
            counted("(component (component $a (component $b) (export \"b\" (component $b))) (instance $i (instantiate $a)) (alias export $i \"b\" (component $c)))").unwrap_err(),
            @"it gets a component out of an instance"
        );
        let deep = (0..DEPTH).fold(String::new(), |inner, _| format!("(component {inner})"));
        insta::assert_snapshot!(
            counted(&format!("(component {deep})")).unwrap_err(),
            @"its components are nested more than 64 levels deep"
        );
        assert!(count(b"\0asm\x0d\0\x01\0\xff").is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_bytes_are_there_is_an_answer(bytes in proptest::collection::vec(0..=255_u8, 0..200)) {
            let _ = count(&[b"\0asm\x0d\0\x01\0", &bytes[..]].concat());
        }
    }
}
