// Results with the windows that they belong to.

import { InvalidError, NoResultError } from "./errors.js";
import { dateOf, second } from "./time.js";
import type { Window } from "./window.js";

/** One result with the window that it belongs to. */
export class Row<T> {
  readonly #computed: bigint;
  readonly #at: bigint | undefined;

  constructor(
    /** As it is stored: without the values of noStore fields. */
    readonly window: Window,
    /** The result. */
    readonly value: T,
    computed = 0n,
    at?: bigint,
  ) {
    this.#computed = computed;
    this.#at = at;
  }

  /** When it was computed, to the second. */
  get computed(): Date {
    return dateOf(this.#computed * second);
  }

  /**
   * How many nanoseconds before the end of the run's window its window ended: 0 for the current one. Rows without a time
   * lookback can be old. Only rows that a run was given have an age.
   */
  get age(): bigint {
    if (this.#at === undefined) throw new InvalidError("row: only rows that a run was given have an age");
    return this.#at - this.window.timeTo;
  }

  /** The age in seconds. */
  get ageSeconds(): number {
    return Number(this.age) / 1e9;
  }
}

/** Results in the order in which a core hands them over: the newest window first, by its end, then its beginning. */
export class Rows<T> implements Iterable<Row<T>> {
  readonly #rows: readonly Row<T>[];

  constructor(rows: readonly Row<T>[] = []) {
    this.#rows = rows;
  }

  /** How many there are. */
  get length(): number {
    return this.toArray().length;
  }

  /** Gives the row at a place, from 0, or counted from the end when it is negative. */
  at(place: number): Row<T> | undefined {
    return this.toArray().at(place);
  }

  [Symbol.iterator](): IterableIterator<Row<T>> {
    return this.toArray().values();
  }

  /** The rows as an array. */
  toArray(): readonly Row<T>[] {
    return this.#rows;
  }

  /** The results alone, in the order of the rows. */
  get values(): T[] {
    return this.toArray().map((row) => row.value);
  }

  /** The windows alone. */
  get windows(): Window[] {
    return this.toArray().map((row) => row.window);
  }

  /** The age of each row, in nanoseconds. */
  get ages(): bigint[] {
    return this.toArray().map((row) => row.age);
  }

  /** The newest row, if there is one. */
  get latest(): Row<T> | undefined {
    return this.toArray()[0];
  }

  /** Gives the rows in the order of time. */
  oldestFirst(): Rows<T> {
    return new Rows([...this.toArray()].reverse());
  }
}

/** What a run was given of one dependency: the current window's result, if there is one, then the past ones. */
export class Input<T> extends Rows<T> {
  readonly #of: string;
  readonly #ambiguous: boolean;
  /** The row of the window that is processed; undefined for an algorithm of another window type. */
  readonly current: Row<T> | undefined;

  /** @internal */
  constructor(rows: readonly Row<T>[], current: Row<T> | undefined, of: string, ambiguous = false) {
    super(rows);
    this.current = current;
    this.#of = of;
    this.#ambiguous = ambiguous;
  }

  /** The result for the window that is processed: there is one for dependencies of the same window type. */
  get value(): T {
    if (this.current === undefined) {
      throw new NoResultError(
        `${this.#of} has no result for the window of this run; read another window type's newest one with .latest`,
      );
    }
    return this.current.value;
  }

  /** The rows of past windows, newest first: none where the lookback finds none. */
  get past(): Rows<T> {
    return new Rows(this.current === undefined ? this.toArray() : this.toArray().slice(1));
  }

  override toArray(): readonly Row<T>[] {
    if (this.#ambiguous) {
      throw new InvalidError(
        `${this.#of} is needed with several lookbacks: read the rows of each through what its last or over made`,
      );
    }
    return super.toArray();
  }
}
