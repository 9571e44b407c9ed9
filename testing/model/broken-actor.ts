/** An actor that answers like the model but breaks chosen operations or dumps, to test that a run notices. */
import { ModelFs } from './model-fs.ts';
import type { Actor, Dump, Operation, OperationName, Outcome } from './operation.ts';

export class BrokenActor implements Actor {
  readonly name = 'broken';
  readonly lacks: ReadonlySet<OperationName> = new Set<OperationName>();
  private readonly model = new ModelFs();
  private readonly breaks: (operation: Operation, apply: (operation: Operation) => Outcome) => Outcome;
  private readonly dumpOf: (dump: Dump) => Dump;

  constructor(
    breaks: (operation: Operation, apply: (operation: Operation) => Outcome) => Outcome,
    dumpOf: (dump: Dump) => Dump = (dump) => dump,
  ) {
    this.breaks = breaks;
    this.dumpOf = dumpOf;
  }

  apply(operation: Operation): Outcome {
    return this.breaks(operation, (one) => this.model.apply(one));
  }

  trees(): string[] {
    return this.model.trees();
  }

  dump(tree: string): Dump {
    return this.dumpOf(this.model.dump(tree));
  }

  close(): void {
    this.model.close();
  }
}
