//! One pass over the weights for all answers that run.
//!
//! Why apart: it decides whose tokens are computed together, and touches neither numbers nor text.
//!
//! # Invariants
//! Every answer that has a token waiting gets one. Slices of prompts are bounded together, so that nobody waits longer
//! than a pass. What one gets does not depend on who else is there.

use std::sync::{Arc, PoisonError};

use super::Decoder;
use super::engine::Workspace;
use super::network::Part;
use super::scratch::wipe;
use crate::generation::{GenerateError, Generation, Idle, Next, Step};
use crate::limits::inference as limits;

/// A generation for which something is computed.
struct Turn<'a> {
    /// Its place among all.
    index: usize,
    generation: &'a mut Generation,
    next: Next,
    step: Result<Step, GenerateError>,
}

impl Decoder {
    /// One pass over the weights for all that run: each gets one token, or the next slice of its prompt. Slices are
    /// bounded together, so that those who wait for a token wait no longer than one pass. The results are in the
    /// order of `running`; one that fails is of no more use and touches no other.
    pub fn step(&self, running: &mut [&mut Generation]) -> Vec<Result<Step, GenerateError>> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .chunks_mut(limits::PASS_ROWS)
            .flat_map(|running| self.pass(&mut scratch, running))
            .collect()
    }

    fn pass(
        &self,
        scratch: &mut Workspace,
        running: &mut [&mut Generation],
    ) -> Vec<Result<Step, GenerateError>> {
        let answers = running.iter().filter(|generation| generation.answers()).count();
        let mut room = match answers {
            0 => limits::PREFILL_SLICE,
            _ => answers.clamp(limits::PREFILL_BESIDE, limits::PREFILL_SLICE),
        };
        room = room.min(limits::PASS_ROWS - answers);
        let mut results = Vec::with_capacity(running.len());
        let mut late = Vec::new();
        let mut turns = Vec::with_capacity(running.len());
        for (index, generation) in running.iter_mut().enumerate() {
            let planned = if Arc::ptr_eq(&self.identity, generation.decoder()) {
                generation.plan(&mut room)
            } else {
                Err(Idle::Nothing(Err(GenerateError::Compute)))
            };
            match planned {
                Ok(next) => {
                    results.push(Err(GenerateError::Compute));
                    turns.push(Turn {
                        index,
                        generation,
                        next,
                        step: Err(GenerateError::Compute),
                    });
                }
                Err(Idle::Nothing(result)) => results.push(result),
                Err(Idle::Mask) => {
                    results.push(Err(GenerateError::Compute));
                    late.push((index, generation));
                }
            }
        }
        self.compute(scratch, &mut turns, results.len() == 1);
        // Whoever waits for its mask holds up nobody else; when all do, the first is waited for.
        for (index, generation) in late {
            let wait = turns.is_empty() && !results.iter().any(Result::is_ok);
            if let Some(result) = results.get_mut(index) {
                *result = generation.advance_late(self, wait);
            }
        }
        for turn in turns {
            if let Some(result) = results.get_mut(turn.index) {
                *result = turn.step;
            }
        }
        results
    }

    fn compute(&self, scratch: &mut Workspace, turns: &mut [Turn<'_>], alone: bool) {
        if turns.is_empty() {
            return;
        }
        let mut parts: Vec<Part<'_>> = turns
            .iter_mut()
            .map(|turn| turn.generation.part(turn.next))
            .collect();
        let rows = parts.iter().map(|part| part.ids.len()).sum();
        let computed = self.network.forward(scratch, &mut parts);
        drop(parts);
        if computed.is_ok() {
            let mut drawing = Vec::with_capacity(turns.len());
            for turn in turns {
                if turn.next.ends_in_logits(turn.generation.usage().prompt_tokens) {
                    drawing.push(turn);
                } else {
                    turn.step = Ok(turn.generation.prefilling());
                }
            }
            self.draw(scratch, &mut drawing, alone);
        }
        scratch.wipe(rows);
    }

    /// Draws the next token of each, in the order in which their rows are wanted. One that is alone may wait for its mask.
    fn draw(&self, scratch: &mut Workspace, drawing: &mut [&mut Turn<'_>], alone: bool) {
        let mut first = 0;
        for group in drawing.chunks_mut(limits::LOGIT_ROWS) {
            let races = group.iter().enumerate();
            let races: Vec<_> = races
                .filter_map(|(row, turn)| Some((row, turn.generation.race()?)))
                .collect();
            let Ok((logits, winners)) = self.network.races(scratch, (first, group.len()), &races) else {
                // Their steps stay the errors that they are.
                return;
            };
            first += group.len();
            let vocabulary = logits.len() / group.len();
            let mut known: Vec<Option<(u32, &[f32])>> = vec![None; group.len()];
            for ((row, _), winner) in races.iter().zip(winners.iter()) {
                if let Some(known) = known.get_mut(*row) {
                    *known = Some(winner);
                }
            }
            let rows = logits.chunks_exact_mut(vocabulary).zip(known);
            let each = group.iter_mut().zip(rows).collect();
            self.network.machine().each(each, |_, (turn, (logits, winner))| {
                turn.step = turn.generation.advance(self, logits, *winner, alone);
                wipe(logits);
            });
        }
    }
}
