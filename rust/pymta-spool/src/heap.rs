//! A binary heap of numbers that knows where each number is, so that any of them can be moved or taken out.
//!
//! The order and the places are kept by the caller (`schedule.rs`): its groups and the index's entries.

/// Restores the heap's order after the number at `at` was added, changed or swapped in, and tells `moved` the new
/// place of every number that moved, the one at `at` included. Beyond the end there is nothing to do.
pub(crate) fn fix<C>(
    heap: &mut [u32],
    at: usize,
    context: &mut C,
    less: impl Fn(&C, u32, u32) -> bool,
    moved: impl Fn(&mut C, u32, u32),
) {
    let mut at = at;
    let place = |at: usize| u32::try_from(at).expect("places are counted like what they hold");
    if at >= heap.len() {
        return;
    }
    while at > 0 && less(context, heap[at], heap[(at - 1) / 2]) {
        let parent = (at - 1) / 2;
        heap.swap(at, parent);
        moved(context, heap[at], place(at));
        at = parent;
    }
    loop {
        let mut least = at;
        for child in [2 * at + 1, 2 * at + 2] {
            if child < heap.len() && less(context, heap[child], heap[least]) {
                least = child;
            }
        }
        if least == at {
            break;
        }
        heap.swap(at, least);
        moved(context, heap[at], place(at));
        at = least;
    }
    moved(context, heap[at], place(at));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation)] // less than a hundred
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_least_is_first_and_places_are_right(
            keys in prop::collection::vec(0u32..50, 1..60),
            changes in prop::collection::vec((0usize..60, 0u32..50, any::<bool>()), 0..60),
        ) {
            // Context: (key, place) of every number.
            let mut context: Vec<(u32, u32)> = keys.iter().map(|&k| (k, 0)).collect();
            let less = |c: &Vec<(u32, u32)>, a: u32, b: u32| c[a as usize].0 < c[b as usize].0;
            let moved = |c: &mut Vec<(u32, u32)>, n: u32, place: u32| c[n as usize].1 = place;
            let mut heap = Vec::new();
            for number in 0..keys.len() {
                heap.push(number as u32);
                fix(&mut heap, number, &mut context, less, moved);
            }
            for (at, key, remove) in changes {
                if at < heap.len() && remove {
                    heap.swap_remove(at);
                } else if at < heap.len() {
                    context[heap[at] as usize].0 = key;
                }
                fix(&mut heap, at, &mut context, less, moved);
                for (place, &number) in heap.iter().enumerate() {
                    prop_assert_eq!(place as u32, context[number as usize].1);
                    prop_assert!(place == 0 || !less(&context, number, heap[(place - 1) / 2]));
                }
            }
        }
    }
}
