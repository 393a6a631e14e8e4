// Waiting for something that happens now and then.

/** Rings, and is heard by one who waits, now or the next time. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  /** Whether it rang since it was last waited for or silenced. */
  get rung(): boolean {
    return this.#rung;
  }

  /** Lets the one who waits go on. */
  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Forgets that it rang. */
  silence(): void {
    this.#rung = false;
  }

  /** Waits for the first of several bells, or until the time is up or the signal is aborted. */
  static first(bells: readonly Bell[], milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        for (const bell of bells) bell.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      signal.addEventListener("abort", done, { once: true });
      for (const bell of bells) bell.#wake = done;
      if (signal.aborted || bells.some((bell) => bell.#rung)) done();
    });
  }
}
