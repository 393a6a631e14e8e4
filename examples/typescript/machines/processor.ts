// Serves the algorithms of the machines.
import { machines } from "./algorithms.js";

await machines.run();
