/** Child processes of tests: a program of `testing`, and messages to and from it. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A running child: it sends one answer for each message. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  private readonly answers: unknown[] = [];
  private readonly waiting: { resolve: (answer: unknown) => void; reject: (error: Error) => void }[] = [];
  private failure: Error | undefined;

  /** `program` is a file of this folder or beside it (`../mount/serving-child`), without extension. */
  constructor(program: string, ...args: readonly string[]) {
    const file = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
    this.process = fork(file, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // The owner process has this option, too.
      execArgv: [...process.execArgv, '--expose-gc'],
    });
    this.process.on('message', (answer) => {
      const first = this.waiting.shift();
      if (first === undefined) this.answers.push(answer);
      else first.resolve(answer);
    });
    this.process.on('exit', (code, signal) => {
      this.failure = new Error(`the child ${program} ended with ${code ?? signal}`);
      for (const { reject } of this.waiting.splice(0)) reject(this.failure);
    });
  }

  /** The next message from the child. */
  next<Answer>(): Promise<Answer> {
    // The cast: each program of this folder declares the type of its answers.
    if (this.answers.length > 0) return Promise.resolve(this.answers.shift() as Answer);
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) =>
      this.waiting.push({ resolve: (answer) => resolve(answer as Answer), reject }),
    );
  }

  ask<Answer>(message: object): Promise<Answer> {
    this.process.send(message);
    return this.next<Answer>();
  }

  /** Kills the child with SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** For the child: answers every message with the result of `answer`. */
export function answerAll<Message>(answer: (message: Message) => unknown): void {
  process.on('message', async (message) => {
    // The cast: the parent sends the messages that this program expects.
    process.send!(await answer(message as Message));
  });
}
