//! Composition root: builds everything, runs it, joins every task.
