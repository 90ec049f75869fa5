//! Some rows of a file, in the order of the file, with the classes of their labels.

use std::sync::Arc;

use crate::rows_file::{RowHead, RowsFile};

/// Rows of one file: all of them, or one side of a split. Price: four bytes a row.
#[derive(Clone)]
pub(crate) struct Selection {
    file: Arc<RowsFile>,
    rows: Vec<u32>,
    /// The class of every label of the file; empty when rows have no class.
    classes: Arc<[u32]>,
}

impl Selection {
    /// All rows of `file`; `classes` says the class of each of its labels.
    pub fn all(file: Arc<RowsFile>, classes: Vec<u32>) -> Self {
        let rows = (0..file.len() as u32).collect();
        Self { file, rows, classes: classes.into() }
    }

    /// The rows for which `there` is true, and the others.
    pub fn part(self, there: &[bool]) -> (Self, Self) {
        let mut flags = there.iter();
        let (those, others) = self.rows.into_iter().partition(|_| flags.next().copied().unwrap_or(false));
        let of = |rows| Self { file: Arc::clone(&self.file), rows, classes: Arc::clone(&self.classes) };
        (of(those), of(others))
    }

    /// No row of the same file.
    pub fn none(&self) -> Self {
        Self { rows: Vec::new(), ..self.clone() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The file, and the number in it of row `row` of the selection.
    pub fn locate(&self, row: usize) -> (&RowsFile, usize) {
        (&self.file, self.rows[row] as usize)
    }

    /// A row without its tokens.
    pub fn head(&self, row: usize) -> RowHead {
        self.file.head(self.rows[row] as usize)
    }

    /// Tokens of a row.
    pub fn tokens(&self, row: usize) -> usize {
        self.file.tokens(self.rows[row] as usize) as usize
    }

    /// All rows without their tokens.
    pub fn heads(&self) -> impl Iterator<Item = RowHead> + '_ {
        self.rows.iter().map(|&row| self.file.head(row as usize))
    }

    /// The key of a row.
    pub fn key(&self, row: usize) -> String {
        self.file.key(self.rows[row] as usize)
    }

    /// Whether labels have classes.
    pub fn has_classes(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The class of a label of the file.
    pub fn class_of(&self, label: u32) -> Option<u32> {
        self.classes.get(label as usize).copied()
    }

    /// The classes of a row that has any number of them, ascending; `None` for another row.
    pub fn classes(&self, row: usize) -> Option<Vec<u32>> {
        let (file, number) = self.locate(row);
        let mut classes: Vec<u32> =
            file.several_labels(number)?.into_iter().filter_map(|label| self.class_of(label)).collect();
        classes.sort_unstable();
        // An index and a name may stand for the same class.
        classes.dedup();
        Some(classes)
    }

    /// The class of a row with this head.
    pub fn class(&self, head: &RowHead) -> Option<u32> {
        self.classes.get(head.label? as usize).copied()
    }
}
