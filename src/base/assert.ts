/** Assertions that stay on in production: a broken invariant stops the operation before it can do damage. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(`internal invariant broken: ${message}`);
}
