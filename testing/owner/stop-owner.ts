/** Ends the owner process of a scratch store, if there is one, with all its mounts. */
import { OwnerClient } from '../../src/owner/index.ts';

export async function stopOwner(storeDirectory: string): Promise<void> {
  const owner = await OwnerClient.connectAnyVersion(storeDirectory);
  if (owner === undefined) return;
  try {
    await owner.request('stop', {});
  } catch {
    // The owner has ended meanwhile.
  }
  await owner.untilEnded();
}
