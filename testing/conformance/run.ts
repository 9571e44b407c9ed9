/** Registers every case of the suite as a test of node:test, each in its own fresh directory. */
import { describe, it } from 'node:test';
import { conformanceGroups } from './index.ts';
import type { ConformanceCase, FsSubject, SubjectFeatures } from './subject.ts';

export interface SubjectFactory {
  /** Shown in the report, for example 'node:fs' or 'ramet fork of a fork'. */
  readonly name: string;
  /** Features must be known before there is a subject, because cases are skipped when they are registered. */
  readonly features: SubjectFeatures;
  /** Makes the subject of one case; its root is an empty directory. */
  create(): FsSubject | Promise<FsSubject>;
  /** Removes what `create` made. Called also when the case has failed. */
  dispose(subject: FsSubject): void | Promise<void>;
}

export function missingFeature(
  needs: ConformanceCase['needs'],
  features: SubjectFeatures,
): keyof SubjectFeatures | undefined {
  return needs?.find((need) => !features[need]);
}

/** Runs one case on a fresh subject. Rejects when the case fails. */
export async function runCase(factory: SubjectFactory, conformanceCase: ConformanceCase): Promise<void> {
  const subject = await factory.create();
  try {
    await conformanceCase.run(subject);
  } finally {
    await factory.dispose(subject);
  }
}

/** Registers the whole suite; `only` narrows it to some groups by name. */
export function runConformance(factory: SubjectFactory, only?: readonly string[]): void {
  describe(`conformance of ${factory.name}`, () => {
    for (const group of conformanceGroups) {
      if (only !== undefined && !only.includes(group.name)) continue;
      describe(group.name, () => {
        for (const conformanceCase of group.cases) {
          const missing = missingFeature(conformanceCase.needs, factory.features);
          const skip = missing === undefined ? false : `the subject has no '${missing}'`;
          it(conformanceCase.name, { skip }, () => runCase(factory, conformanceCase));
        }
      });
    }
  });
}
