//! Work spread over threads, with results in the order of the work.
//!
//! Items are handed out in order and results are put back in order, so nothing outside can tell how
//! many threads there were. Of several errors the one of the earliest item is
//! returned: whatever comes before it has been handed out, and was finished. Price: one thread start a
//! call and worker, paid once for a window of thousands of rows.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Does `work` on every item, each thread with a state of its own.
pub(crate) fn ordered<T: Send, S: Send, R: Send, E: Send>(
    items: Vec<T>,
    states: &mut [S],
    work: impl Fn(&mut S, T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = states.len().min(items.len());
    if let (0 | 1, Some(state)) = (threads, states.first_mut()) {
        return items.into_iter().map(|item| work(state, item)).collect();
    }
    let count = items.len();
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done: Vec<Vec<(usize, Result<R, E>)>> = std::thread::scope(|scope| {
        let handles: Vec<_> = states
            .iter_mut()
            .take(threads)
            .map(|state| {
                scope.spawn(|| {
                    let mut results = Vec::new();
                    while !failed.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(slot) = items.get(index) else { break };
                        let Some(item) = slot.lock().ok().and_then(|mut slot| slot.take()) else { break };
                        let result = work(state, item);
                        if result.is_err() {
                            failed.store(true, Ordering::Relaxed);
                        }
                        results.push((index, result));
                    }
                    results
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut results: Vec<(usize, Result<R, E>)> = done.into_iter().flatten().collect();
    results.sort_by_key(|(index, _)| *index);
    let mut ordered = Vec::with_capacity(count);
    for (_, result) in results {
        ordered.push(result?);
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_whatever_the_number_of_threads() {
        for threads in [1, 2, 5] {
            let mut seen = vec![0usize; threads];
            let results: Result<Vec<usize>, ()> = ordered((0..100).collect(), &mut seen, |seen, item: usize| {
                *seen += 1;
                Ok(item * 2)
            });
            assert_eq!(results.unwrap(), (0..100).map(|i| i * 2).collect::<Vec<_>>());
            assert_eq!(seen.iter().sum::<usize>(), 100);
        }
    }

    #[test]
    fn the_error_of_the_earliest_item_wins() {
        for _ in 0..50 {
            let mut states = [(), (), ()];
            let result: Result<Vec<()>, usize> =
                ordered((0..64).collect(), &mut states, |(), item: usize| if item >= 7 { Err(item) } else { Ok(()) });
            assert_eq!(result, Err(7));
        }
    }
}
