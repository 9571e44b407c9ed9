/** Ends the owner process of a scratch store, with all its mounts; nothing where none runs. */
import { OwnerClient } from '../../src/owner/index.ts';

export async function stopOwner(storeDirectory: string): Promise<void> {
  const owner = await OwnerClient.connectAnyVersion(storeDirectory);
  if (owner === undefined) return;
  try {
    await owner.request('stop', {});
  } catch {
    // It has ended meanwhile, which is what was wanted.
  }
  await owner.untilEnded();
}
