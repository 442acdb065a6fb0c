import { html } from "./dom.js";

const LINGER = 150; // ms to move the pointer from the badge into its tooltip
const GAP = 6; // px

/** The sentence beside the badge: on hover and keyboard focus, gone with Esc, in the top layer so that no page clips it. */
export class Tooltip {
  bubble = html("span", { id: "tooltip", role: "tooltip", part: "tooltip", class: "tooltip", popover: "manual" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #leaving;

  /** @param {HTMLElement} anchor */
  constructor(anchor) {
    this.anchor = anchor;
    for (const part of [anchor, this.bubble]) {
      part.addEventListener("pointerenter", ({ pointerType }) => pointerType !== "touch" && this.#show());
      part.addEventListener("pointerleave", () => (this.#leaving = setTimeout(this.#hide, LINGER)));
    }
    anchor.addEventListener("focus", () => anchor.matches(":focus-visible") && this.#show());
    anchor.addEventListener("blur", this.#hide);
    anchor.addEventListener("click", this.#hide);
  }

  #show() {
    clearTimeout(this.#leaving);
    if (!this.bubble.textContent || !this.bubble.isConnected || this.bubble.matches(":popover-open")) return;
    this.bubble.showPopover();
    this.#place();
    document.addEventListener("keydown", this.#escape);
    addEventListener("scroll", this.#hide, { capture: true, once: true });
  }

  #hide = () => {
    clearTimeout(this.#leaving);
    if (this.bubble.isConnected) this.bubble.hidePopover();
    document.removeEventListener("keydown", this.#escape);
    removeEventListener("scroll", this.#hide, { capture: true });
  };

  /** @param {KeyboardEvent} event */
  #escape = ({ key }) => {
    if (key === "Escape") this.#hide();
  };

  /** Below the badge, above it where there is no room, and always inside the window. */
  #place() {
    const badge = this.anchor.getBoundingClientRect();
    const { width, height } = this.bubble.getBoundingClientRect();
    const below = badge.bottom + GAP + height <= innerHeight;
    const { style } = this.bubble;
    style.top = `${below ? badge.bottom + GAP : badge.top - GAP - height}px`;
    style.left = `${Math.max(GAP, Math.min(badge.left, document.documentElement.clientWidth - width - GAP))}px`;
  }
}
