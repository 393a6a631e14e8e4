// Alerting is the third of three teams: it says when somebody should look at a machine.
import * as orca from "@orca-telemetry/sdk";
import * as features from "./stubs/features.js";
import * as scoring from "./stubs/scoring.js";
import { burst } from "./stubs/windows.js";

const alerting = new orca.Processor("alerting");

interface Alert {
  readonly raised: boolean;
  readonly text: string;
}

alerting.algorithm(
  "Alert",
  "1.0.0",
  burst,
  { result: orca.struct<Alert>(), needs: [features.rms, scoring.score], description: "Whether somebody should look." },
  (run) => {
    const rms: number = run.get(features.rms).value;
    const { factor } = run.get(scoring.score).value;
    if (typeof factor !== "number") throw new orca.Failure("the score has no factor");
    const raised = factor >= 2;
    return { raised, text: raised ? `shakes with ${rms.toFixed(1)} g, ${factor.toFixed(1)} times as much as before` : "as before" };
  },
);

await alerting.run();
