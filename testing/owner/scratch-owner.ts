/** An owner of a scratch store in the test's own process, over a mount server that mounts nothing. */
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { OwnerClient, type OwnerClientOptions } from '../../src/owner/index.ts';
import { Owner } from '../../src/owner/owner.ts';
import { OwnerPlace } from '../../src/owner/owner-place.ts';
import type { StoreEngine } from '../../src/store/index.ts';
import { scratchStore } from '../stores/scratch-store.ts';
import { FakeMountServer } from './fake-mount-server.ts';

export class ScratchOwner {
  readonly engine: StoreEngine;
  readonly server: FakeMountServer;
  readonly owner: Owner;
  readonly place: OwnerPlace;
  /** The parsed lines of the log. */
  readonly logged: readonly Record<string, unknown>[];
  private readonly context: TestContext;

  private constructor(context: TestContext, engine: StoreEngine, owner: Owner, server: FakeMountServer) {
    this.context = context;
    this.engine = engine;
    this.owner = owner;
    this.server = server;
    this.place = new OwnerPlace(engine.directory);
    this.logged = [];
  }

  static async start(
    context: TestContext,
    options: { readonly engine?: StoreEngine; readonly idleMs?: number } = {},
  ): Promise<ScratchOwner> {
    const engine = options.engine ?? (await scratchStore(context));
    const server = new FakeMountServer();
    const logged: Record<string, unknown>[] = [];
    const logger = pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) });
    const owner = await Owner.start({
      engine,
      place: new OwnerPlace(engine.directory),
      createMountServer: () => server,
      logger,
      idleMs: options.idleMs ?? 60_000,
    });
    context.after(() => owner.stop('the test is over'));
    return Object.assign(new ScratchOwner(context, engine, owner, server), { logged });
  }

  /** Connects a client, which is closed when the test ends. */
  async client(options: OwnerClientOptions = {}): Promise<OwnerClient> {
    const client = await OwnerClient.connect(this.engine.directory, options);
    if (client === undefined) throw new Error('the owner does not listen');
    this.context.after(() => client.close());
    return client;
  }

  /** Makes an empty fork, which is closed afterwards. */
  makeFork(name: string): void {
    this.engine.createEmpty(name).close();
  }
}
