// Browsers start no worker for a page that was opened from a folder. There, the script of a worker runs in a hidden frame
// instead, so that the search works without a server.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.started = new Promise((resolve) => this.#start(new URL(url, location), resolve));
    }

    #start(url, resolve) {
      const inside = this.frame.contentWindow;
      const load = (source) =>
        new Promise((loaded) => {
          const script = inside.document.createElement("script");
          script.src = source;
          script.onload = loaded;
          script.onerror = () => this.#dispatch(new ErrorEvent("error", { message: `${source} cannot be loaded` }));
          inside.document.body.append(script);
        });
      inside.postMessage = (data) => this.#dispatch(new MessageEvent("message", { data }));
      inside.importScripts = (...sources) => sources.reduce((last, one) => last.then(() => load(one)), Promise.resolve());
      load(url.href).then(resolve);
    }

    #dispatch(event) {
      this.dispatchEvent(event);
      this[`on${event.type}`]?.(event);
    }

    postMessage(data) {
      this.started.then(() => {
        const inside = this.frame.contentWindow;
        inside?.dispatchEvent(new inside.MessageEvent("message", { data: structuredClone(data) }));
      });
    }

    terminate() {
      this.frame.remove();
    }
  };
}
