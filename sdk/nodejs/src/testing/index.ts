// Tests without a core, a network or a clock.
//
// `call` runs one algorithm on inputs that the test makes up. A `Core` runs whole DAGs with their history: it is given
// processors and then windows, in any order of event time, and runs every algorithm on the rows that a real core would hand
// to it, one window after the other:
//
//     const core = new Core(plant);
//     for (let i = 0; i < 24 * 60; i++) outcome = await core.emit(minute(i));
//     outcome.get(trend);

export { type CallOptions, call, type GivenInput, given } from "./call.js";
export { Core } from "./core.js";
