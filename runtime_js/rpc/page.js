/**
 * Answers messages in a page: of the WebSocket beside it.
 *
 * @module
 */

import { answering } from './answer.js';
import { beside, serve } from './socket.js';

serve(beside('../../socket', import.meta.url), answering(navigator.userAgent));
