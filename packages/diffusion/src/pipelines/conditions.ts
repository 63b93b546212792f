/** What predictions are conditioned on, of whatever kind a family has. */

/** What the transformer is conditioned on. */
export interface Conditions<Condition> {
  readonly positive: Condition;
  /** Where guidance is on. */
  readonly negative?: Condition | undefined;
  readonly notes?: readonly string[];
}
